package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// service maps the ports of the Gateway's spec to those that Envoy binds. Its
// nodePorts are the cluster's to choose and stay: they are never applied.
func (r *rendering) service() *corev1.Service {
	wishes := &r.gateway.Fleet
	service := &corev1.Service{
		APIVersion: "v1", Kind: "Service",
		ObjectMeta: r.meta(),
		Spec: corev1.ServiceSpec{
			Type:     cmp.Or(corev1.ServiceType(wishes.ServiceType), defaultServiceType),
			Selector: selectorLabels(r.gateway.Key),
		},
	}
	if len(wishes.ServiceAnnotations) > 0 {
		if service.Annotations == nil {
			service.Annotations = map[string]string{}
		}
		// Those decide about the load balancer, and are the class's to decide.
		maps.Copy(service.Annotations, wishes.ServiceAnnotations)
	}
	for _, listener := range r.gateway.Listeners {
		declared := cmp.Or(listener.Declared, listener.Port)
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
			Name:       fmt.Sprintf("%s-%d", strings.ToLower(string(listener.Protocol)), declared),
			Protocol:   corev1.ProtocolTCP,
			Port:       declared,
			TargetPort: intstr.FromInt32(listener.Port),
		})
	}
	return service
}

// disruptionBudget lets nodes be emptied one Envoy at a time, whatever the
// number of replicas. Envoys that are not ready never hold a node up.
func (r *rendering) disruptionBudget() *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		APIVersion: "policy/v1", Kind: "PodDisruptionBudget",
		ObjectMeta: r.meta(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             new(intstr.FromInt32(1)),
			Selector:                   &metav1.LabelSelector{MatchLabels: selectorLabels(r.gateway.Key)},
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}

// networkPolicy admits clients to the listeners and kubelet to the readiness
// port, from anywhere, and lets Envoy reach DNS, the control plane and backends.
// Backends are wherever EndpointSlices say, so only what is never one is left
// out: link-local addresses, where clouds serve their machines' credentials.
func (r *rendering) networkPolicy() *networkingv1.NetworkPolicy {
	var listening []networkingv1.NetworkPolicyPort
	for _, listener := range r.gateway.Listeners {
		listening = append(listening, tcp(listener.Port))
	}
	if r.gateway.ReadinessPort != 0 {
		listening = append(listening, tcp(r.gateway.ReadinessPort))
	}
	return &networkingv1.NetworkPolicy{
		APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy",
		ObjectMeta: r.meta(),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selectorLabels(r.gateway.Key)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: listening}},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolUDP, 53), tcp(53)}},
				{Ports: []networkingv1.NetworkPolicyPort{tcp(XDSPort)}, To: r.operatorPods()},
				{To: []networkingv1.NetworkPolicyPeer{
					{NamespaceSelector: &metav1.LabelSelector{}},
					{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"169.254.0.0/16"}}},
					{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fe80::/10"}}},
				}},
			},
		},
	}
}

func (r *rendering) operatorPods() []networkingv1.NetworkPolicyPeer {
	return []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			corev1.LabelMetadataName: r.settings.OperatorNamespace,
		}},
		PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelName: OperatorName}},
	}}
}

func tcp(number int32) networkingv1.NetworkPolicyPort { return port(corev1.ProtocolTCP, number) }

func port(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: new(protocol), Port: new(intstr.FromInt32(number))}
}
