package resolve

import (
	"regexp"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// mostPatternMemory is how much the regular expressions in the routes of one
	// namespace may come to take of one Gateway, in bytes as patternMemory counts them
	// for each hostname of each listener: a thousand usual ones, or 16 of the largest.
	// Requests make them take it, so that whoever writes such a route and sends a few
	// could else end the Gateway.
	mostPatternMemory = 64 << 20

	// namespacePatternWork is how long the expressions of one namespace are looked at
	// for one Result: enough for several hundred usual ones that differ, 0.1 to 0.3 s.
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
			if bytes += p.redirect(rule.redirect, match); bytes > mostPatternMemory {
				return bytes
			}
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

// redirect is what Envoy may come to keep for the expressions that a redirect needs
// though its author writes none: one asks for a port in the Host header that would
// stay, and one in each copy replaces a prefix by nothing. They are written in
// internal/envoy, which weighs nothing.
func (p *patternRoom) redirect(redirect *model.Redirect, match *model.Match) (bytes int) {
	if redirect == nil {
		return 0
	}
	if redirect.Hostname == "" {
		bytes += p.memory(`.*:[0-9]+`)
	}
	if path := redirect.Path; path != nil && path.Kind == model.Prefix && strings.Trim(path.Value, "/") == "" {
		bytes += 2 * p.memory("^"+regexp.QuoteMeta(match.Path.Value)+"/?")
	}
	return bytes
}
