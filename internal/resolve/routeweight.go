package resolve

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// mostRoutes is how much the HTTPRoutes and GRPCRoutes of one namespace may take of
// one Gateway, in bytes of what their rules compare and write, once for each
// hostname of each listener: tens of thousands of usual rules. Envoy has a route
// table for each of those, and the operator too, each several times as large.
// Whoever may write routes could else end both of them by a few that are large and
// have many hostnames.
const mostRoutes = 32 << 20

// matchWeight is what a match, a header or a backend takes beside its text.
const matchWeight = 128

// boundRoutes turns routes away that find no room on a Gateway, in each namespace
// the younger ones. They are attached to nothing, and claim no hostname.
func boundRoutes(routes []*routeNode) {
	byAge := slices.Clone(routes)
	slices.SortStableFunc(byAge, func(x, y *routeNode) int {
		return cmp.Or(
			x.created.Compare(y.created),
			cmp.Compare(x.key.Namespace, y.key.Namespace),
			cmp.Compare(x.key.Name, y.key.Name),
		)
	})
	type share struct {
		gateway   *gatewayNode
		namespace string
	}
	used := map[share]int{}
	for _, route := range byAge {
		weight := route.weight()
		for _, a := range route.attachments {
			places := 0
			for _, bound := range a.bindings {
				places += len(bound.hosts)
			}
			if places == 0 || !isOurs(a.gateway.class) {
				continue
			}
			of := share{a.gateway, route.key.Namespace}
			if taken := used[of] + weight*places; taken <= mostRoutes {
				used[of] = taken
				continue
			}
			a.bindings = nil
			a.refused = report.RouteTooLarge(fmt.Sprintf("the routes of namespace %s have no room left on %s: this one has %d "+
				"bytes of matches for each of %d hostnames on its listeners, and all of them may have %d; write fewer or "+
				"shorter matches, or fewer hostnames", route.key.Namespace, a.gateway.key, weight, places, mostRoutes))
		}
	}
}

// weight is what the rules of the route hold, in bytes: each match has all that its
// rule does with a request.
func (r *routeNode) weight() (bytes int) {
	bytes = r.patterns.used
	for i := range r.rules {
		rule := &r.rules[i]
		action := matchWeight * (1 + len(rule.backends))
		for _, headers := range [...][]model.Header{rule.headers.Set, rule.headers.Add} {
			for _, header := range headers {
				action += len(header.Name) + len(header.Value)
			}
		}
		for _, name := range rule.headers.Remove {
			action += len(name)
		}
		if rule.redirect != nil && rule.redirect.Path != nil {
			action += len(rule.redirect.Path.Value)
		}
		for j := range rule.matches {
			match := &rule.matches[j].match
			bytes += action + len(match.Path.Value)
			for _, values := range [...][]model.ValueMatch{match.Headers, match.Query} {
				for _, value := range values {
					bytes += matchWeight + len(value.Name) + len(value.Value)
				}
			}
		}
	}
	return bytes
}
