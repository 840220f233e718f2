package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// tlsRoutes reads every TLSRoute. Its rule matches every connection for its
// hostnames; of several for one hostname the rule of the route with the most
// specific own hostname counts, then of the oldest (TLSRouteSpec.hostnames).
func (b *builder) tlsRoutes() []*routeNode {
	objects := b.snap.TLSRoutes.Sorted()
	routes := make([]*routeNode, 0, len(objects))
	for _, object := range objects {
		spec := &object.Spec
		route := b.newRoute(gwapi.KindTLSRoute, object, &spec.CommonRouteSpec, &object.Status.RouteStatus, spec.Hostnames)
		for i := range spec.Rules {
			b.addStreamRule(route, spec.Rules[i].BackendRefs, i)
		}
		routes = append(routes, route)
	}
	return routes
}

// addStreamRule understands a rule without matches and filters.
func (b *builder) addStreamRule(route *routeNode, refs []gatewayv1.BackendRef, index int) {
	match := httpMatch{}
	route.place(&match, index, 0)
	rule := httpRule{matches: []httpMatch{match}}
	for i := range refs {
		rule.backends = append(rule.backends,
			b.backendRef(&route.routeView, &refs[i], fmt.Sprintf("rules[%d].backendRefs[%d]", index, i)))
	}
	route.rules = append(route.rules, rule)
}
