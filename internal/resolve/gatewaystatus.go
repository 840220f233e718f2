package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/report"
)

// reportGateways writes the statuses of our Gateways.
func (b *builder) reportGateways(policies *tlsPolicies) {
	for _, node := range b.gateways {
		entry := report.Report{Generation: node.object.Generation, Addresses: b.statusAddresses(node)}
		tally := listenerTally{}
		for _, l := range node.listeners {
			entry.Listeners = append(entry.Listeners, b.listenerStatus(l, &tally))
		}
		entry.Conditions = slices.Concat([]metav1.Condition{
			b.gatewayAccepted(node, &tally),
			b.gatewayProgrammed(node),
			gatewayResolved(node, tally.unresolved),
		}, insecureFrontend(node), policies.gatewayConditions(node.key))
		b.reports[node.key] = entry
	}
}

// gatewayResolved is ResolvedRefs: a reference of the Gateway itself before those
// of its listeners.
func gatewayResolved(node *gatewayNode, unresolved []string) metav1.Condition {
	switch node.identity.why {
	case missing, faulty:
		return report.GatewayUnresolvedIdentity(gatewayv1.GatewayReasonInvalidClientCertificateRef,
			node.identity.fault, unresolved)
	case forbidden:
		return report.GatewayUnresolvedIdentity(gatewayv1.GatewayReasonRefNotPermitted, node.identity.fault, unresolved)
	case unseen:
		return report.GatewayUnseenIdentity(node.identity.fault)
	case present:
	}
	return report.GatewayResolvedRefs(unresolved)
}

// insecureFrontend is InsecureFrontendValidationMode, which is there while an
// accepted listener lets in clients whose certificate was not verified.
func insecureFrontend(node *gatewayNode) []metav1.Condition {
	var names []string
	for _, l := range node.listeners {
		if l.refused == nil && l.clients != nil && l.clients.fallback {
			names = append(names, string(l.spec.Name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []metav1.Condition{report.GatewayInsecureFrontend(names)}
}

// listenerTally sums up the listeners of one Gateway.
type listenerTally struct {
	accepted            int
	refused, unresolved []string
}

func (b *builder) statusAddresses(node *gatewayNode) []gatewayv1.GatewayStatusAddress {
	if !node.served() {
		return nil
	}
	values := []string{node.address.ip.String()}
	if !b.snap.Site.Standalone {
		// In a cluster it is the Service's, not what Envoy binds.
		values = b.snap.Observed.Addresses[node.key]
	}
	var addresses []gatewayv1.GatewayStatusAddress
	for _, value := range values[:min(len(values), maxStatusAddresses)] {
		kind := gatewayv1.HostnameAddressType
		if _, err := netip.ParseAddr(value); err == nil {
			kind = gatewayv1.IPAddressType
		}
		addresses = append(addresses, gatewayv1.GatewayStatusAddress{Type: new(kind), Value: value})
	}
	return addresses
}

// maxStatusAddresses is what the Gateway's schema admits.
const maxStatusAddresses = 16

func (b *builder) gatewayAccepted(node *gatewayNode, tally *listenerTally) metav1.Condition {
	remarks := b.remarks(node.key)
	switch {
	case node.refused != nil:
		return *node.refused
	case tally.accepted == 0:
		return report.GatewayListenersNotValid(tally.refused, false, remarks...)
	case node.parameters.Fault != "":
		return report.GatewayInvalidParameters(node.parameters.Fault +
			"; listeners and routes are served, no insecure mode is allowed")
	case len(tally.refused) > 0:
		return report.GatewayListenersNotValid(tally.refused, true, remarks...)
	default:
		return report.GatewayAccepted(remarks...)
	}
}

// gatewayProgrammed goes from what is wrong with the spec to what the Envoys say.
func (b *builder) gatewayProgrammed(node *gatewayNode) metav1.Condition {
	switch {
	case node.refused != nil:
		return report.ProgrammedInvalid("the Gateway is not accepted: " + node.refused.Message)
	case node.address.unusable != "":
		return report.ProgrammedAddressNotUsable(node.address.unusable)
	case !node.address.ip.IsValid():
		return report.ProgrammedAddressNotUsable("no address in 127.128.0.0/9 is free")
	case len(node.model.Listeners) == 0:
		return report.ProgrammedInvalid("no listener can be served")
	case b.snap.Observed.Fleet[node.key] != "":
		return report.ProgrammedNotApplied(b.snap.Observed.Fleet[node.key])
	case !b.snap.Site.Standalone && len(b.snap.Observed.Addresses[node.key]) == 0:
		return report.ProgrammedAddressNotAssigned()
	default:
		return b.programmed(node, nil)
	}
}

// listenerStatus is the status of one listener.
func (b *builder) listenerStatus(l *listenerNode, tally *listenerTally) gatewayv1.ListenerStatus {
	accepted := report.ListenerAccepted(l.spec.Port, l.bound)
	bind := ""
	if l.refused == nil {
		bind = b.refusedBind(l)
	}
	switch {
	case l.refused != nil:
		accepted = *l.refused
	case bind != "":
		accepted = report.ListenerPortUnavailable(fmt.Sprintf("port: %d at %s is in use by another process: %s",
			l.bound, l.gateway.address.ip, bind))
	}
	if accepted.Status == metav1.ConditionTrue {
		tally.accepted++
	} else {
		tally.refused = append(tally.refused, string(l.spec.Name))
	}
	resolved := resolvedListener(l)
	if resolved.Status != metav1.ConditionTrue {
		tally.unresolved = append(tally.unresolved, string(l.spec.Name))
	}
	conflicted := report.ListenerNoConflicts()
	if l.conflict != nil {
		conflicted = *l.conflict
	}
	conditions := []metav1.Condition{accepted, b.listenerProgrammed(l, accepted), resolved, conflicted}
	if len(l.overlaps) > 0 {
		conditions = append(conditions, report.ListenerOverlapping(l.overlaps))
	}
	return gatewayv1.ListenerStatus{
		Name:           l.spec.Name,
		SupportedKinds: l.kinds,
		AttachedRoutes: l.attached,
		Conditions:     conditions,
	}
}

func (b *builder) listenerProgrammed(l *listenerNode, accepted metav1.Condition) metav1.Condition {
	switch {
	case accepted.Status != metav1.ConditionTrue:
		return report.ProgrammedInvalid("the listener is not accepted: " + accepted.Message)
	case l.gateway.refused != nil:
		return report.ProgrammedInvalid("the Gateway is not accepted: " + l.gateway.refused.Message)
	case !l.gateway.address.ip.IsValid():
		return report.ProgrammedAddressNotUsable("the Gateway has no address: " + l.gateway.address.unusable)
	case l.terminates() && len(l.certificates.pairs) == 0:
		return report.ProgrammedInvalid("there is no certificate to present: " +
			report.List(append(l.certificates.faults, l.certificates.unseen...)))
	case !l.clients.usable():
		return report.ProgrammedInvalid("there is no CA to verify clients with: " +
			report.List(slices.Concat(l.clients.faults, l.clients.unseen)))
	default:
		return b.programmed(l.gateway, l)
	}
}

// resolvedListener is ResolvedRefs of a listener. A reference that could not be
// looked at counts only where nothing is known to be wrong.
func resolvedListener(l *listenerNode) metav1.Condition {
	reason, faults := l.certificates.reason, l.certificates.faults
	unseen := l.certificates.unseen
	if l.clients != nil {
		reason = cmp.Or(reason, l.clients.reason)
		faults = slices.Concat(faults, l.clients.faults)
		unseen = slices.Concat(unseen, l.clients.unseen)
	}
	if l.kindFault != "" {
		if reason == "" {
			reason = gatewayv1.ListenerReasonInvalidRouteKinds
		}
		faults = append(slices.Clip(faults), l.kindFault)
	}
	switch {
	case len(faults) > 0:
		return report.ListenerUnresolvedRefs(reason, report.List(faults))
	case len(unseen) > 0:
		return report.ListenerUnseenRefs(report.List(unseen))
	default:
		return report.ListenerResolvedRefs()
	}
}
