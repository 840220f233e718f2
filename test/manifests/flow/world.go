package flow

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// World is where connections are made.
type World struct {
	// Namespaces are the labels of each namespace by name. As in a cluster, each
	// has the label kubernetes.io/metadata.name whether or not it is here.
	Namespaces map[string]map[string]string
	Policies   []networkingv1.NetworkPolicy
	// BlocksMeanPods says that an ipBlock matches pods too. The API leaves that
	// open, and networks differ; what has to hold should hold either way.
	BlocksMeanPods bool
}

// End is one end of a connection: a pod, or an address outside the cluster.
type End struct {
	// Namespace, Labels and Ports (numbers by container port name) are a pod's;
	// an End without Namespace is no pod.
	Namespace string
	Labels    map[string]string
	Ports     map[string]int32
	// Address is its IP address.
	Address netip.Addr
}

// pod says whether it is one.
func (e End) pod() bool { return e.Namespace != "" }

// Target is what is connected to at an End.
type Target struct {
	Protocol corev1.Protocol
	Port     int32
}

// Allows says whether a connection from one End to another is let through.
func (w World) Allows(from, to End, target Target) bool {
	return w.egress(from, to, target) && w.ingress(from, to, target)
}

func (w World) egress(from, to End, target Target) bool {
	if !from.pod() {
		return true
	}
	restricted := false
	for i := range w.Policies {
		policy := &w.Policies[i]
		if !selects(policy, from) || !restricts(policy, networkingv1.PolicyTypeEgress) {
			continue
		}
		restricted = true
		for _, rule := range policy.Spec.Egress {
			if w.admits(policy.Namespace, rule.To, rule.Ports, to, to, target) {
				return true
			}
		}
	}
	return !restricted
}

func (w World) ingress(from, to End, target Target) bool {
	if !to.pod() {
		return true
	}
	restricted := false
	for i := range w.Policies {
		policy := &w.Policies[i]
		if !selects(policy, to) || !restricts(policy, networkingv1.PolicyTypeIngress) {
			continue
		}
		restricted = true
		for _, rule := range policy.Spec.Ingress {
			if w.admits(policy.Namespace, rule.From, rule.Ports, from, to, target) {
				return true
			}
		}
	}
	return !restricted
}

// admits says whether a rule of a policy in a namespace is for this peer and
// this target at to.
func (w World) admits(
	namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort,
	peer, to End, target Target,
) bool {
	return w.admitsPeer(namespace, peers, peer) && admitsPort(ports, to, target)
}
