package resolve

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// routeNode is one route of a kind that our listeners take, understood once for
// all of its parents. All kinds come down to one form of rules: the matches of a
// GRPCRoute are of paths, and the one rule of a TLSRoute matches every connection
// to its hostnames.
type routeNode struct {
	routeView

	created time.Time
	rules   []httpRule
	// patterns is what its regular expressions take.
	patterns patternBudget
	// faults are matches that cannot be understood. What such a match would take
	// is not known, so no other rule of the route may take it: the whole route
	// is refused and answers 500.
	faults []string
	// crowded: there is no room for its rules, see boundRoutes.
	crowded bool
}

// httpRule is one rule.
type httpRule struct {
	matches  []httpMatch
	headers  model.HeaderModifier
	redirect *model.Redirect
	// backends are those that share the requests, and behind them those that get
	// copies.
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

// newRoute attaches a route of any kind to its parents.
func (b *builder) newRoute(
	kind gwapi.Kind, object metav1.Object, spec *gatewayv1.CommonRouteSpec, status *gatewayv1.RouteStatus,
	names []gatewayv1.Hostname,
) *routeNode {
	route := &routeNode{
		created:    object.GetCreationTimestamp().Time,
		key:        gwapi.KeyOf(kind, object.GetNamespace(), object.GetName()),
		generation: object.GetGeneration(),
		parents:    spec.ParentRefs,
		live:       status.Parents,
		hostnames:  hostnames(names),
	}
	b.attach(&route.routeView)
	return route
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

// compareAge orders routes of which one has to yield: the older one first, then by
// namespace and name (gateway-api, conflict resolution).
func (r *routeNode) compareAge(other *routeNode) int {
	return cmp.Or(
		r.created.Compare(other.created),
		cmp.Compare(r.key.Namespace, other.key.Namespace),
		cmp.Compare(r.key.Name, other.key.Name),
	)
}

// place completes the precedence of a match by where it stands.
func (r *routeNode) place(match *httpMatch, rule, index int) {
	match.precedence.Created = r.created
	match.precedence.Namespace, match.precedence.Name = r.key.Namespace, r.key.Name
	match.precedence.Rule, match.precedence.Match = rule, index
}

// refusal lists why the route as a whole is Accepted=False/UnsupportedValue:
// because it is not understood, or because no rule of it is left.
func (r *routeNode) refusal() []string {
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
func (r *routeNode) dropped() (faults []string) {
	for i := range r.rules {
		faults = append(faults, r.rules[i].faults...)
	}
	return faults
}

// refuses says whether requests that the rule matches get a 500 whatever its
// backends are.
func (r *routeNode) refuses(rule *httpRule) bool {
	return len(r.faults) > 0 || len(rule.faults) > 0
}

// streams says whether the route is about connections, not requests.
func (r *routeView) streams() bool { return r.key.Kind == gwapi.KindTLSRoute }

// failing says for people what becomes of what goes to a backend that cannot be
// used.
func (r *routeView) failing(ref *backendRef) string {
	switch {
	case ref.mirror != nil:
		return "no requests are mirrored to it"
	case r.streams():
		return "connections are closed"
	default:
		return "requests are answered with 500"
	}
}
