package flow

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// selects says whether a policy is about a pod.
func selects(policy *networkingv1.NetworkPolicy, pod End) bool {
	return policy.Namespace == pod.Namespace && matches(&policy.Spec.PodSelector, pod.Labels)
}

// restricts says whether a policy is about a direction. Without policyTypes it
// is about ingress, and about egress if it has rules for it.
func restricts(policy *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) > 0 {
		return slices.Contains(policy.Spec.PolicyTypes, direction)
	}
	return direction == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
}

// matches says whether a selector is for these labels. One that cannot be read
// is for nothing: the API server takes none of those.
func matches(selector *metav1.LabelSelector, of map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(of))
}

// admitsPeer says whether one of the peers is this one; no peers are everybody.
func (w World) admitsPeer(namespace string, peers []networkingv1.NetworkPolicyPeer, end End) bool {
	if len(peers) == 0 {
		return true
	}
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		if peer.IPBlock != nil {
			return (w.BlocksMeanPods || !end.pod()) && inBlock(peer.IPBlock, end.Address)
		}
		return end.pod() && w.inNamespaces(namespace, peer.NamespaceSelector, end) &&
			(peer.PodSelector == nil || matches(peer.PodSelector, end.Labels))
	})
}

// inNamespaces says whether a pod is in the namespaces that a peer means: those
// selected, or the policy's own.
func (w World) inNamespaces(own string, selector *metav1.LabelSelector, pod End) bool {
	if selector == nil {
		return pod.Namespace == own
	}
	all := maps.Clone(w.Namespaces[pod.Namespace])
	if all == nil {
		all = map[string]string{}
	}
	all[corev1.LabelMetadataName] = pod.Namespace
	return matches(selector, all)
}

// inBlock says whether an address is in a block and in none of its exceptions.
func inBlock(block *networkingv1.IPBlock, address netip.Addr) bool {
	in := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		return err == nil && prefix.Contains(address)
	}
	return in(block.CIDR) && !slices.ContainsFunc(block.Except, in)
}

// admitsPort says whether one of the ports is the target's; no ports are all.
func admitsPort(ports []networkingv1.NetworkPolicyPort, to End, target Target) bool {
	if len(ports) == 0 {
		return true
	}
	return slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != target.Protocol {
			return false
		}
		switch {
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.String:
			number, named := to.Ports[port.Port.StrVal]
			return named && number == target.Port
		case port.EndPort != nil:
			return port.Port.IntVal <= target.Port && target.Port <= *port.EndPort
		default:
			return port.Port.IntVal == target.Port
		}
	})
}
