package resolve

import (
	"fmt"
	"net/netip"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// findConflicts refuses the listeners of a Gateway that cannot be told apart,
// all of them: none may win (gateway-api v1.7.0, "Handling indistinct
// Listeners"). Listeners of protocols that are not served take no part.
func findConflicts(listeners []*listenerNode) {
	ports := map[gatewayv1.PortNumber][]*listenerNode{}
	for _, l := range listeners {
		if l.protocol() != "" {
			ports[l.spec.Port] = append(ports[l.spec.Port], l)
		}
	}
	for _, l := range listeners {
		if l.protocol() == "" {
			continue
		}
		for _, other := range ports[l.spec.Port] {
			switch {
			case other == l:
			case other.spec.Protocol != l.spec.Protocol:
				l.conflictWith(gatewayv1.ListenerReasonProtocolConflict, fmt.Sprintf(
					"listener %s serves %s on port %d", other.spec.Name, other.spec.Protocol, l.spec.Port))
			case other.hostname == l.hostname:
				l.conflictWith(gatewayv1.ListenerReasonHostnameConflict, fmt.Sprintf(
					"listener %s has the same port %d and hostname %q", other.spec.Name, l.spec.Port, l.hostname))
			}
		}
		if above, used := ports[l.bound]; used && l.bound != l.spec.Port && l.refused == nil {
			l.refused = new(report.ListenerPortUnavailable(fmt.Sprintf(
				"port: %d is served as %d, which listener %s asks for; give one of them another port",
				l.spec.Port, l.bound, above[0].spec.Name)))
		}
	}
}

// conflictWith keeps the first conflict; one of protocols goes before one of
// hostnames.
func (l *listenerNode) conflictWith(reason gatewayv1.ListenerConditionReason, fault string) {
	if l.conflict != nil && (l.conflict.Reason == string(reason) || reason == gatewayv1.ListenerReasonHostnameConflict) {
		return
	}
	l.conflict = new(report.ListenerConflicted(reason, fault))
	l.refused = new(report.ListenerConflictAccepted(reason, fault))
}

// findOverlaps finds the HTTPS listeners on one port whose hostnames overlap:
// a client may reuse a connection that it opened for one of them for another.
func findOverlaps(listeners []*listenerNode) {
	for _, l := range listeners {
		for _, other := range listeners {
			if other == l || l.protocol() != model.HTTPS || other.protocol() != model.HTTPS || l.spec.Port != other.spec.Port {
				continue
			}
			if _, overlapping := gwapi.Intersect(l.hostname, other.hostname); overlapping {
				l.overlaps = append(l.overlaps, string(other.spec.Name))
			}
		}
	}
}

// claimPorts refuses listeners on a port that an older Gateway has at the same
// address. In a cluster every Gateway has its own pods and with them its ports.
func (b *builder) claimPorts() {
	if !b.snap.Site.Standalone {
		return
	}
	type claim struct {
		gateway *gatewayNode
		address netip.Addr
	}
	claims := map[int32][]claim{}
	for _, node := range b.byAge() {
		if !node.served() {
			continue
		}
		for _, l := range node.listeners {
			for _, earlier := range claims[l.bound] {
				if l.refused == nil && earlier.gateway != node && overlap(earlier.address, node.address.ip) {
					l.refused = new(report.ListenerPortUnavailable(fmt.Sprintf(
						"port: %d at %s is taken by the older %s; give one of them another port or address",
						l.bound, node.address.ip, earlier.gateway.key)))
				}
			}
		}
		for _, l := range node.listeners {
			if l.refused == nil {
				claims[l.bound] = append(claims[l.bound], claim{gateway: node, address: node.address.ip})
			}
		}
	}
}
