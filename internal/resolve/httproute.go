package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// httpRoutes reads every HTTPRoute.
func (b *builder) httpRoutes() []*routeNode {
	objects := b.snap.HTTPRoutes.Sorted()
	routes := make([]*routeNode, 0, len(objects))
	for _, object := range objects {
		spec := &object.Spec
		route := b.newRoute(gwapi.KindHTTPRoute, object, &spec.CommonRouteSpec, &object.Status.RouteStatus, spec.Hostnames)
		for i := range spec.Rules {
			b.addHTTPRule(route, &spec.Rules[i], i)
		}
		routes = append(routes, route)
	}
	return routes
}

// addHTTPRule understands the rule at an index of the route.
func (b *builder) addHTTPRule(route *routeNode, spec *gatewayv1.HTTPRouteRule, index int) {
	field := fmt.Sprintf("rules[%d].", index)
	rule := httpRule{}
	matches := spec.Matches
	if len(matches) == 0 {
		matches = []gatewayv1.HTTPRouteMatch{{}}
	}
	for i := range matches {
		reader := matchReader{field: fmt.Sprintf("%smatches[%d].", field, i), patterns: &route.patterns}
		if match, ok := reader.read(&matches[i]); ok {
			route.place(&match, index, i)
			rule.matches = append(rule.matches, match)
		}
		route.faults = append(route.faults, reader.faults...)
	}
	rule.faults = unsupportedFields(spec, field)
	for i := range spec.BackendRefs {
		rule.backends = append(rule.backends,
			b.backendRef(&route.routeView, &spec.BackendRefs[i].BackendRef, fmt.Sprintf("%sbackendRefs[%d]", field, i)))
	}
	filters := filterReader{
		b: b, route: route, field: field, rule: &rule, matches: matches,
		supported: []gatewayv1.HTTPRouteFilterType{
			gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterRequestRedirect,
			gatewayv1.HTTPRouteFilterRequestMirror,
		},
	}
	filters.read(spec.Filters)
	if len(rule.faults) > 0 {
		rule.headers, rule.redirect = model.HeaderModifier{}, nil
	}
	route.rules = append(route.rules, rule)
}

// unsupportedFields lists what a rule asks for besides matches, filters and
// backends. None of it is served, and none of it may be left out silently.
func unsupportedFields(spec *gatewayv1.HTTPRouteRule, field string) (faults []string) {
	if spec.Timeouts != nil && (spec.Timeouts.Request != nil || spec.Timeouts.BackendRequest != nil) {
		faults = append(faults, field+"timeouts: not supported; remove the field")
	}
	if spec.Retry != nil {
		faults = append(faults, field+"retry: not supported; remove the field")
	}
	if spec.SessionPersistence != nil { //nolint:staticcheck // Deprecated or not, it must not be left out silently.
		faults = append(faults, field+"sessionPersistence: not supported; remove the field")
	}
	for i := range spec.BackendRefs {
		if len(spec.BackendRefs[i].Filters) > 0 {
			faults = append(faults, backendFilters(field, i))
		}
	}
	return faults
}

func backendFilters(field string, index int) string {
	return fmt.Sprintf("%sbackendRefs[%d].filters: filters of a single backend are not supported; remove the field",
		field, index)
}
