package resolve

import (
	"slices"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// mostPatternMemory is how much the regular expressions in the routes of one
	// namespace may come to take of one Gateway, in bytes as patternMemory counts them
	// for each hostname of each listener: thousands of usual ones, or 16 of the largest.
	// Requests make them take it, so that whoever writes such a route and sends a few
	// could else end the Gateway.
	mostPatternMemory = 64 << 20

	// namespacePatternWork is how long the expressions of one namespace are looked at
	// for one Result: enough for a thousand usual ones, some 0.1 s.
	namespacePatternWork = 1 << 23
)

// patternRoom looks at the regular expressions of one namespace, each once.
type patternRoom struct {
	known map[string]int
	work  int
}

func newPatternRoom() *patternRoom {
	return &patternRoom{known: map[string]int{}, work: namespacePatternWork}
}

// memory is what Envoy may come to keep for an expression.
func (p *patternRoom) memory(pattern string) int {
	size, known := p.known[pattern]
	if !known {
		size = patternMemory(pattern, &p.work)
		p.known[pattern] = size
	}
	return size
}

// route is what Envoy may come to keep for those of a route, for each hostname. It
// has every match by itself, and shares no expression even with an equal one. Above
// mostPatternMemory nobody asks by how much.
func (p *patternRoom) route(route *routeNode) (bytes int) {
	for i := range route.rules {
		rule := &route.rules[i]
		copies := 1
		if rule.redirect != nil {
			copies = 2 // One for a Host header with a port.
		}
		for j := range rule.matches {
			match := &rule.matches[j].match
			for _, value := range slices.Concat([]model.ValueMatch{match.Path}, match.Headers, match.Query) {
				if value.Kind != model.Regex {
					continue
				}
				if bytes += copies * p.memory(value.Value); bytes > mostPatternMemory {
					return bytes
				}
			}
		}
	}
	return bytes
}
