package resolve

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// paths lists every way to a port of a Service.
func (b *builder) paths(routes []*routeNode, others []*otherRoute) []model.Path {
	paths := make([]model.Path, 0, len(routes))
	for _, node := range b.gateways {
		for _, compiled := range node.routes {
			paths = append(paths, compiled.paths(node)...)
		}
	}
	for _, route := range routes {
		for _, node := range route.foreign() {
			for _, bound := range bindingsOn(&route.routeView, node) {
				for i := range route.rules {
					for j := range route.rules[i].backends {
						if ref := &route.rules[i].backends[j]; !ref.service.IsZero() {
							paths = append(paths, foreignPath(&route.routeView, bound, i, ref))
						}
					}
				}
			}
		}
	}
	for _, route := range others {
		paths = append(paths, b.otherPaths(route)...)
	}
	slices.SortFunc(paths, comparePaths)
	return paths
}

func comparePaths(a, b model.Path) int {
	return cmp.Or(
		gwapi.CompareKeys(a.Gateway, b.Gateway),
		cmp.Compare(a.Listener, b.Listener),
		gwapi.CompareKeys(a.Route, b.Route),
		cmp.Compare(a.Rule, b.Rule),
		gwapi.CompareKeys(a.Service, b.Service),
		cmp.Compare(a.Port, b.Port),
		compareCopies(a.Mirror, b.Mirror),
		cmp.Compare(a.Backend, b.Backend),
		cmp.Compare(a.FaultReason, b.FaultReason),
		cmp.Compare(a.Fault, b.Fault),
	)
}

// compareCopies puts what gets copies behind what gets the requests themselves.
func compareCopies(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// foreign are the Gateways of other controllers that the route names.
func (r *routeView) foreign() (gateways []*gatewayNode) {
	for _, a := range r.attachments {
		if !isOurs(a.gateway.class) && !slices.Contains(gateways, a.gateway) {
			gateways = append(gateways, a.gateway)
		}
	}
	return gateways
}

// unsupported is the reason of a rule that asks for what is not served.
const unsupported = string(gatewayv1.RouteReasonUnsupportedValue)

// newPath is a path of which only the way is known.
func newPath(route *routeView, bound binding, rule int, ref *backendRef) model.Path {
	gateway := bound.listener.gateway
	return model.Path{
		Gateway:     gateway.key,
		Listener:    string(bound.listener.spec.Name),
		Controller:  gateway.controller(),
		Ours:        isOurs(gateway.class),
		Route:       route.key,
		Rule:        rule,
		Hostnames:   bound.hostnames(),
		Service:     ref.service,
		Port:        ref.number,
		PortName:    ref.port.Name,
		Passthrough: bound.listener.passthrough(),
		Mirror:      ref.mirror != nil,
	}
}

// hostnames are those that the listener and the route have in common, sorted;
// none where every host is meant.
func (b binding) hostnames() []string {
	if len(b.hosts) == 1 && b.hosts[0].Hostname == "" {
		return nil
	}
	names := make([]string, len(b.hosts))
	for i, host := range b.hosts {
		names[i] = host.Hostname
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// paths are those of a route on one of our Gateways.
func (c *compiledRoute) paths(gateway *gatewayNode) (paths []model.Path) {
	for _, bound := range c.bindings {
		blocked := bound.listener.blocked()
		for i := range c.rules {
			for j := range c.rules[i].source.backends {
				ref := &c.rules[i].source.backends[j]
				path := newPath(&c.route.routeView, bound, i, ref)
				c.decidePath(&path, gateway, i, j)
				if blocked != nil && blocked.Reason != report.ReasonUnseen {
					path.Backend, path.FaultReason, path.Fault = "", blocked.Reason, blocked.Message
				}
				if !ref.service.IsZero() {
					paths = append(paths, path)
				}
			}
		}
	}
	return paths
}

// blocked is why the listener takes no requests at all, nil if it does. Where
// nobody could look, it is not known, and the path is told as if it did.
func (l *listenerNode) blocked() *metav1.Condition {
	switch {
	case l.served():
		return nil
	case l.refused != nil:
		return l.refused
	case l.gateway.refused != nil:
		return l.gateway.refused
	case !l.gateway.address.ip.IsValid():
		return new(report.ProgrammedAddressNotUsable(l.gateway.address.unusable))
	default:
		return new(resolvedListener(l))
	}
}

// decidePath says where requests of a path on one of our Gateways end.
func (c *compiledRoute) decidePath(path *model.Path, gateway *gatewayNode, rule, backend int) {
	switch source := c.rules[rule].source; {
	case len(c.route.faults) > 0:
		path.FaultReason, path.Fault = unsupported, c.route.faults[0]
	case len(source.faults) > 0:
		path.FaultReason, path.Fault = unsupported, source.faults[0]
	case gateway.refused != nil:
		path.FaultReason, path.Fault = gateway.refused.Reason, gateway.refused.Message
	default:
		compiled := &c.rules[rule].backends[backend]
		path.Backend, path.Policy = compiled.name, compiled.decision
		path.FaultReason, path.Fault = compiled.reason, compiled.fault
	}
}

// foreignPath is one on another controller's Gateway, which decides for itself
// what our policies mean.
func foreignPath(route *routeView, bound binding, rule int, ref *backendRef) model.Path {
	path := newPath(route, bound, rule, ref)
	path.FaultReason, path.Fault = string(ref.reason), ref.fault
	return path
}

// otherPaths are those of a route of a kind that only others serve.
func (b *builder) otherPaths(route *otherRoute) (paths []model.Path) {
	for _, node := range route.foreign() {
		for _, bound := range bindingsOn(&route.routeView, node) {
			for i, refs := range route.rules {
				for j := range refs {
					if ref := b.backendRef(&route.routeView, &refs[j], ""); !ref.service.IsZero() {
						paths = append(paths, foreignPath(&route.routeView, bound, i, &ref))
					}
				}
			}
		}
	}
	return paths
}
