package resolve

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// reportRoutes writes the statuses of routes, and counts the accepted ones on
// their listeners. It runs before the Gateways are reported on.
func (b *builder) reportRoutes(routes []*routeNode, others []*otherRoute) {
	compiled := map[*routeNode]map[*gatewayNode][]*compiledRoute{}
	for _, node := range b.gateways {
		for _, c := range node.routes {
			if compiled[c.route] == nil {
				compiled[c.route] = map[*gatewayNode][]*compiledRoute{}
			}
			compiled[c.route][node] = append(compiled[c.route][node], c)
		}
	}
	for _, route := range routes {
		refusal := route.refusal()
		b.reportRoute(&route.routeView, func(a *attachment) []metav1.Condition {
			conditions := []metav1.Condition{b.routeAccepted(route, a, refusal)}
			if dropped := route.dropped(); len(a.bindings) > 0 && refusal == nil && len(dropped) > 0 {
				conditions = append(conditions, report.RoutePartiallyInvalid(dropped))
			}
			return append(conditions, resolvedRoute(route, compiled[route][a.gateway]))
		})
		if refusal == nil {
			for _, node := range route.ours() {
				for _, bound := range bindingsOn(&route.routeView, node) {
					bound.listener.attached++
				}
			}
		}
	}
	for _, route := range others {
		// Our listeners take no route of these kinds: each was turned away.
		b.reportRoute(&route.routeView, func(a *attachment) []metav1.Condition {
			return []metav1.Condition{a.refused}
		})
	}
}

// reportRoute writes an entry for each parentRef that names a Gateway of ours.
// A route that no longer names one still gets a report where it has an entry
// of ours, so that the entry goes.
func (b *builder) reportRoute(route *routeView, conditions func(*attachment) []metav1.Condition) {
	entry := report.Report{Generation: route.generation}
	for _, a := range route.attachments {
		if !isOurs(a.gateway.class) {
			continue
		}
		entry.Parents = append(entry.Parents, gatewayv1.RouteParentStatus{
			ParentRef:      *a.parent,
			ControllerName: gwapi.ControllerName,
			Conditions:     conditions(a),
		})
	}
	stale := slices.ContainsFunc(route.live, func(parent gatewayv1.RouteParentStatus) bool {
		return parent.ControllerName == gwapi.ControllerName
	})
	if len(entry.Parents) > 0 || stale {
		b.reports[route.key] = entry
	}
}

func (b *builder) routeAccepted(route *routeNode, a *attachment, refusal []string) metav1.Condition {
	switch {
	case refusal != nil && len(a.bindings)+len(a.conflicts) > 0:
		// Were it not refused, it might be the other route that has to yield.
		return report.RouteUnsupportedValue(refusal)
	case len(a.bindings) == 0:
		return a.refused
	}
	remarks := append(b.remarks(route.key), a.conflicts...)
	if !slices.ContainsFunc(a.bindings, func(bound binding) bool { return bound.listener.served() }) {
		names := make([]string, len(a.bindings))
		for i, bound := range a.bindings {
			names[i] = string(bound.listener.spec.Name)
		}
		remarks = append(remarks, fmt.Sprintf("but it gets no requests, because %s does not serve listener %s",
			a.gateway.key, strings.Join(names, ", ")))
	}
	return report.RouteAccepted(remarks...)
}

// remarks say that a newer version of an object is not the one that is served.
func (b *builder) remarks(key gwapi.Key) []string {
	if fault, broken := b.snap.Faults[key]; broken {
		return []string{"a newer version of it is not used: " + fault}
	}
	return nil
}

// resolvedRoute is ResolvedRefs of a route on a Gateway; compiled is empty where
// the Gateway turned it away.
func resolvedRoute(route *routeNode, compiled []*compiledRoute) metav1.Condition {
	found := findings{}
	for i := range route.rules {
		rule := &route.rules[i]
		for j := range rule.backends {
			ref := &rule.backends[j]
			found.look(ref)
			for _, on := range compiled {
				if ref.fault == "" && len(on.rules[i].backends) > 0 {
					found.judge(route, ref, &on.rules[i].backends[j])
				}
			}
		}
	}
	switch {
	case len(found.faults) > 0:
		return report.RouteUnresolvedRefs(found.reason, append(found.faults, found.remarks...))
	case len(found.unknown) > 0:
		return report.RouteUnseenRefs(append(found.unknown, found.remarks...))
	default:
		return report.RouteResolvedRefs(found.remarks...)
	}
}

// findings are what is wrong with the backends of a route; the reason is that of
// the first fault.
type findings struct {
	reason                   gatewayv1.RouteConditionReason
	faults, unknown, remarks []string
}

func (f *findings) fault(reason gatewayv1.RouteConditionReason, text string) {
	if f.reason == "" {
		f.reason = reason
	}
	f.faults = append(f.faults, text)
}

// look notes what is wrong with a reference whatever the policies say.
func (f *findings) look(ref *backendRef) {
	switch {
	case ref.unseen:
		f.unknown = append(f.unknown, ref.field+": "+ref.fault)
	case ref.fault != "":
		f.fault(ref.reason, ref.field+": "+ref.fault)
	}
}

// judge notes what the policies, or their absence, make of a backend.
func (f *findings) judge(route *routeNode, ref *backendRef, backend *compiledBackend) {
	switch {
	case backend.fault == "" && backend.reason == "":
	case backend.routeReason != "":
		f.fault(backend.routeReason, ref.field+": "+backend.explain())
	default:
		f.remarks = append(f.remarks, fmt.Sprintf("%s: %s: %s", ref.field, route.failing(ref), backend.explain()))
	}
}

// explain says why requests to the backend get a 500, naming the policy.
func (c *compiledBackend) explain() string {
	if c.decision == nil {
		return c.fault
	}
	policy := c.decision.Policy.String()
	if c.reason == string(gatewayv1.RouteReasonUnsupportedProtocol) {
		// It may be in force for routes that speak something else.
		return policy + " lets no route of this kind speak to it: " + strings.TrimPrefix(c.fault, policy+": ")
	}
	return fmt.Sprintf("%s is not in force (%s): %s", policy, c.reason, strings.TrimPrefix(c.fault, policy+": "))
}
