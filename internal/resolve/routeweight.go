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

// What a route without room is told: the namespace, the Gateway, its bytes, for how
// many hostnames, and how many bytes there are for all.
const (
	noRoomForRules = "the routes of namespace %s have no room left on %s: this one takes %d bytes for each of %d " +
		"hostnames on its listeners, and all of them may take %d; write fewer or shorter matches, or fewer hostnames"

	noRoomForPatterns = "the regular expressions of namespace %s have no room left on %s: Envoy may come to keep %d " +
		"bytes or more for those of this route, %d times (for each hostname on its listeners, twice where clients are " +
		"asked for certificates), and %d for all; an expression takes most where a counted repetition follows what can " +
		"begin anywhere, as in .*a.{20}, and counts as such a one where the namespace has too many to look at: write " +
		"simpler ones, or fewer expressions or hostnames"
)

// routeRoom is what the routes of each namespace take of each Gateway.
type routeRoom struct {
	most      int
	complaint string
	used      map[routeShare]int
}

// routeShare is what the routes of one namespace have of a Gateway.
type routeShare struct {
	gateway   *gatewayNode
	namespace string
}

// boundRoutes refuses routes that find no room on a Gateway, in each namespace the
// younger ones. They keep their hostnames, as every route that is refused, and
// answer 500 there to what no other rule takes.
func boundRoutes(routes []*routeNode) {
	byAge := slices.Clone(routes)
	slices.SortStableFunc(byAge, (*routeNode).compareAge)
	rules := routeRoom{most: mostRoutes, complaint: noRoomForRules, used: map[routeShare]int{}}
	patterns := routeRoom{most: mostPatternMemory, complaint: noRoomForPatterns, used: map[routeShare]int{}}
	rooms := map[string]*patternRoom{}
	for _, route := range byAge {
		size, memory := route.weight(), 0
		rules.find(route, size, (*routeView).places)
		if !route.crowded && len(route.ours()) > 0 {
			if rooms[route.key.Namespace] == nil {
				rooms[route.key.Namespace] = newPatternRoom()
			}
			memory = rooms[route.key.Namespace].route(route)
			patterns.find(route, memory, (*routeView).matchedPlaces)
		}
		if !route.crowded {
			rules.take(route, size, (*routeView).places)
			patterns.take(route, memory, (*routeView).matchedPlaces)
		}
	}
}

// find refuses a route for which there is not enough of it on a Gateway.
func (r *routeRoom) find(route *routeNode, bytes int, places func(*routeView, *gatewayNode) int) {
	for _, gateway := range route.ours() {
		share, places := routeShare{gateway, route.key.Namespace}, places(&route.routeView, gateway)
		if places > 0 && r.used[share]+bytes*places > r.most {
			route.crowded = true
			route.faults = append(route.faults,
				fmt.Sprintf(r.complaint, route.key.Namespace, gateway.key, bytes, places, r.most))
		}
	}
}

func (r *routeRoom) take(route *routeNode, bytes int, places func(*routeView, *gatewayNode) int) {
	for _, gateway := range route.ours() {
		r.used[routeShare{gateway, route.key.Namespace}] += bytes * places(&route.routeView, gateway)
	}
}

// places is how many hostnames of listeners of a Gateway the route has.
func (r *routeView) places(gateway *gatewayNode) (places int) {
	for _, bound := range bindingsOn(r, gateway) {
		places += len(bound.hosts)
	}
	return places
}

// matchedPlaces is places as requests are matched there: where clients are asked for
// a certificate Envoy has each rule for those who have a good one, and for others.
func (r *routeView) matchedPlaces(gateway *gatewayNode) (places int) {
	for _, bound := range bindingsOn(r, gateway) {
		places += len(bound.hosts)
		if bound.listener.clients.validation() != nil {
			places += len(bound.hosts)
		}
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
