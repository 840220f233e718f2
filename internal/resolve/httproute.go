package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// httpRouteNode is one HTTPRoute, understood once for all of its parents.
type httpRouteNode struct {
	routeView

	object *gatewayv1.HTTPRoute
	rules  []httpRule
	// patterns is what its regular expressions take.
	patterns patternBudget
	// faults are matches that cannot be understood. What such a match would take
	// is not known, so no other rule of the route may take it: the whole route
	// is refused and answers 500.
	faults []string
}

// httpRule is one rule.
type httpRule struct {
	matches  []httpMatch
	headers  model.HeaderModifier
	redirect *model.Redirect
	backends []backendRef
	// faults are what the rule asks for and does not get; its requests are
	// answered with 500 then, so that neither the rule without it nor a wider
	// rule takes them.
	faults []string
}

// httpMatch is one match and its place among others.
type httpMatch struct {
	match      model.Match
	precedence gwapi.Precedence
}

// refusal lists why the route as a whole is Accepted=False/UnsupportedValue:
// because it is not understood, or because no rule of it is left.
func (r *httpRouteNode) refusal() []string {
	if len(r.faults) > 0 {
		return r.faults
	}
	dropped := r.dropped()
	for i := range r.rules {
		if len(r.rules[i].faults) == 0 {
			return nil
		}
	}
	return dropped
}

// dropped lists the faults of rules.
func (r *httpRouteNode) dropped() (faults []string) {
	for i := range r.rules {
		faults = append(faults, r.rules[i].faults...)
	}
	return faults
}

// refuses says whether requests that the rule matches get a 500 whatever its
// backends are.
func (r *httpRouteNode) refuses(rule *httpRule) bool {
	return len(r.faults) > 0 || len(rule.faults) > 0
}

// httpRoutes reads every HTTPRoute.
func (b *builder) httpRoutes() []*httpRouteNode {
	objects := b.snap.HTTPRoutes.Sorted()
	routes := make([]*httpRouteNode, 0, len(objects))
	for _, object := range objects {
		route := &httpRouteNode{
			object:     object,
			key:        gwapi.KeyOf(gwapi.KindHTTPRoute, object.Namespace, object.Name),
			generation: object.Generation,
			parents:    object.Spec.ParentRefs,
			live:       object.Status.Parents,
			hostnames:  hostnames(object.Spec.Hostnames),
		}
		b.attach(&route.routeView)
		for i := range object.Spec.Rules {
			b.addRule(route, i)
		}
		routes = append(routes, route)
	}
	return routes
}

func hostnames(names []gatewayv1.Hostname) []string {
	if len(names) == 0 {
		return nil
	}
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return texts
}

// addRule understands the rule at an index of the route.
func (b *builder) addRule(route *httpRouteNode, index int) {
	spec := &route.object.Spec.Rules[index]
	field := fmt.Sprintf("rules[%d].", index)
	rule := httpRule{}
	matches := spec.Matches
	if len(matches) == 0 {
		matches = []gatewayv1.HTTPRouteMatch{{}}
	}
	for i := range matches {
		reader := matchReader{field: fmt.Sprintf("%smatches[%d].", field, i), patterns: &route.patterns}
		if match, ok := reader.read(&matches[i]); ok {
			match.precedence.Created = route.object.CreationTimestamp.Time
			match.precedence.Namespace, match.precedence.Name = route.key.Namespace, route.key.Name
			match.precedence.Rule, match.precedence.Match = index, i
			rule.matches = append(rule.matches, match)
		}
		route.faults = append(route.faults, reader.faults...)
	}
	rule.faults = unsupportedFields(spec, field)
	filters := filterReader{field: field, rule: &rule, matches: matches}
	filters.read(spec.Filters)
	if rule.redirect != nil && len(spec.BackendRefs) > 0 {
		rule.faults = append(rule.faults, field+"backendRefs: a rule that redirects has no backends; remove one of them")
	}
	for i := range spec.BackendRefs {
		rule.backends = append(rule.backends,
			b.backendRef(&route.routeView, &spec.BackendRefs[i].BackendRef, fmt.Sprintf("%sbackendRefs[%d]", field, i)))
	}
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
			faults = append(faults, fmt.Sprintf("%sbackendRefs[%d].filters: filters of a single backend are not supported; "+
				"remove the field", field, i))
		}
	}
	return faults
}
