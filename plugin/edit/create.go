package edit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
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
	// WellKnown is PinnedOnly or System; none for a policy that gets
	// caCertificateRefs.
	WellKnown gatewayv1.WellKnownCACertificatesType
}

// Policy makes it. It has a sectionName whenever the Service has more than one
// port, so that it says nothing about ports that nobody asked about.
func (c Create) Policy() (*gatewayv1.BackendTLSPolicy, error) {
	name := cmp.Or(c.Name, c.Service.Name)
	if faults := validation.IsDNS1123Subdomain(name); len(faults) > 0 {
		return nil, fmt.Errorf("--policy-name is %q: %s", name, strings.Join(faults, "; "))
	}
	if c.Hostname != "" && !isHostname(c.Hostname) {
		return nil, fmt.Errorf("--hostname is %q: want a DNS name in small letters, such as api.example.com", c.Hostname)
	}
	policy := &gatewayv1.BackendTLSPolicy{
		APIVersion: gatewayv1.GroupVersion.String(), Kind: "BackendTLSPolicy",
		Namespace: c.Service.Namespace, Name: name,
		Spec: gatewayv1.BackendTLSPolicySpec{
			TargetRefs: []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
				Kind: "Service",
				Name: gatewayv1.ObjectName(c.Service.Name),
			}},
			Validation: gatewayv1.BackendTLSPolicyValidation{
				Hostname: gatewayv1.PreciseHostname(c.hostname()),
			},
		},
	}
	if len(c.Service.Spec.Ports) > 1 {
		policy.Spec.TargetRefs[0].SectionName = new(gatewayv1.SectionName(c.Port.Name))
	}
	if c.WellKnown != "" {
		policy.Spec.Validation.WellKnownCACertificates = new(c.WellKnown)
	}
	return policy, nil
}

// hostname is a name of a certificate only where every endpoint carries that
// one alone, and it is a name: anybody can write anything into a certificate.
func (c Create) hostname() string {
	if c.Hostname != "" {
		return c.Hostname
	}
	var carried []string
	for _, live := range c.Live {
		for _, name := range live.Chain[0].DNSNames {
			if name = strings.ToLower(name); !slices.Contains(carried, name) {
				carried = append(carried, name)
			}
		}
	}
	if len(carried) == 1 && isHostname(carried[0]) {
		return carried[0]
	}
	return DefaultHostname(c.Service.Namespace, c.Service.Name)
}

// DefaultHostname is the name by which a Service is known within a cluster.
func DefaultHostname(namespace, service string) string { return service + "." + namespace + ".svc" }

// isHostname says whether a name can be a policy's hostname: a DNS name without
// a wildcard, and no IP address (gateway-api, PreciseHostname).
func isHostname(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && len(validation.IsDNS1123Subdomain(name)) == 0
}
