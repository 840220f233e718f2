package resolve

import (
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// mostRoutes is how much the routes of one namespace may take of one Gateway, as
// routeNode.weight counts it for each hostname of each listener: 16,000 times the
// smallest rule. Envoy has a route table or a filter chain for each of those, and
// the operator too, each several times as large. Whoever may write routes could
// else end both of them by a few that are large and have many hostnames.
const mostRoutes = 32 << 20

// placeWeight is what a hostname of a listener, a match, a header or a backend
// takes beside its text, in bytes.
const placeWeight = 1 << 10

// boundRoutes refuses routes that find no room on a Gateway, in each namespace the
// younger ones. They keep their hostnames, as every route that is refused, and
// answer 500 there to what no other rule takes.
func boundRoutes(routes []*routeNode) {
	byAge := slices.Clone(routes)
	slices.SortStableFunc(byAge, (*routeNode).compareAge)
	type share struct {
		gateway   *gatewayNode
		namespace string
	}
	used := map[share]int{}
	for _, route := range byAge {
		weight, gateways := route.weight(), route.ours()
		for _, gateway := range gateways {
			places := route.places(gateway)
			if taken := used[share{gateway, route.key.Namespace}]; places > 0 && taken+weight*places > mostRoutes {
				route.crowded = true
				route.faults = append(route.faults, fmt.Sprintf("the routes of namespace %s have no room left on %s: this "+
					"one takes %d bytes for each of %d hostnames on its listeners, and all of them may take %d; write fewer or "+
					"shorter matches, or fewer hostnames", route.key.Namespace, gateway.key, weight, places, mostRoutes))
			}
		}
		if route.crowded {
			continue
		}
		for _, gateway := range gateways {
			used[share{gateway, route.key.Namespace}] += weight * route.places(gateway)
		}
	}
}

// places is how many hostnames of listeners of a Gateway the route has.
func (r *routeView) places(gateway *gatewayNode) (places int) {
	for _, bound := range bindingsOn(r, gateway) {
		places += len(bound.hosts)
	}
	return places
}

// weight is what the rules of the route hold, in bytes: each match has all that its
// rule does with a request.
func (r *routeNode) weight() (bytes int) {
	bytes = placeWeight + r.patterns.used
	for i := range r.rules {
		rule := &r.rules[i]
		action := placeWeight * (1 + len(rule.backends))
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
					bytes += placeWeight + len(value.Name) + len(value.Value)
				}
			}
		}
	}
	return bytes
}

// remainder stands for all rules of a route that found no room: what comes for its
// hostnames and no other rule takes is answered with 500.
func (r *routeNode) remainder() rankedRule {
	var match httpMatch
	if !r.streams() {
		match.match.Path = model.ValueMatch{Kind: model.Prefix, Value: "/"}
		match.precedence.Path = gwapi.PathPrefix // The last, and this is the shortest.
	}
	r.place(&match, 0, 0)
	return rankedRule{precedence: match.precedence, rule: model.Rule{Route: r.key, Match: match.match}}
}
