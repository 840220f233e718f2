package edit

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Create is the policy that a verb starts from where a Service has none.
type Create struct {
	Service *corev1.Service
	// Port is the Service's port that the policy is for.
	Port corev1.ServicePort
	// Name is the policy's, the Service's if empty.
	Name string
	// Hostname is --hostname; if empty, the only DNS name that the live leaves
	// carry, else NAME.NAMESPACE.svc.
	Hostname string
	Live     []Live
	// WellKnown is PinnedOnly or System.
	WellKnown gatewayv1.WellKnownCACertificatesType
}

// Policy makes it. It has a sectionName whenever the Service has more than one
// port, so that it says nothing about ports that nobody asked about.
func (c Create) Policy() *gatewayv1.BackendTLSPolicy {
	target := gatewayv1.LocalPolicyTargetReferenceWithSectionName{
		LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{
			Kind: "Service",
			Name: gatewayv1.ObjectName(c.Service.Name),
		},
	}
	if len(c.Service.Spec.Ports) > 1 {
		section := gatewayv1.SectionName(c.Port.Name)
		target.SectionName = &section
	}
	name := c.Name
	if name == "" {
		name = c.Service.Name
	}
	wellKnown := c.WellKnown
	return &gatewayv1.BackendTLSPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: "BackendTLSPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Service.Namespace, Name: name},
		Spec: gatewayv1.BackendTLSPolicySpec{
			TargetRefs: []gatewayv1.LocalPolicyTargetReferenceWithSectionName{target},
			Validation: gatewayv1.BackendTLSPolicyValidation{
				Hostname:                gatewayv1.PreciseHostname(c.hostname()),
				WellKnownCACertificates: &wellKnown,
			},
		},
	}
}

func (c Create) hostname() string {
	if c.Hostname != "" {
		return c.Hostname
	}
	carried := map[string]struct{}{}
	for _, live := range c.Live {
		for _, name := range live.Chain[0].DNSNames {
			carried[strings.ToLower(name)] = struct{}{}
		}
	}
	if len(carried) == 1 {
		for name := range carried {
			if !strings.HasPrefix(name, "*") {
				return name
			}
		}
	}
	return c.Service.Name + "." + c.Service.Namespace + ".svc"
}
