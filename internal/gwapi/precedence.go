package gwapi

import (
	"cmp"
	"time"
)

// PathRank orders the kinds of path match; the lower rank wins. Gateway API
// fixes Exact before PathPrefix and leaves RegularExpression to us: it goes
// between them, so that a pattern can carve paths out of a prefix.
type PathRank int

// The ranks.
const (
	PathExact PathRank = iota
	PathRegularExpression
	PathPrefix
)

// Precedence is what decides between matches of one hostname that all fit a
// request (gateway-api v1.7.0, HTTPRouteRule.matches).
type Precedence struct {
	// Hostname is the route's own hostname, not its intersection with the
	// listener's (feature GatewayRouteHostnameIntersectionPrecedence).
	Hostname string
	Path     PathRank
	// Length is that of the path's value.
	Length int
	// Method says whether the match asks for a method; Headers and Query count
	// what else it asks for.
	Method         bool
	Headers, Query int
	// Created is the route's creationTimestamp: the older route wins. Zero, as in
	// a file, ties with every other zero and is older than any time.
	Created         time.Time
	Namespace, Name string
	// Rule and Match are positions in the route.
	Rule, Match int
}

// Compare orders the match that wins first.
func (p Precedence) Compare(q Precedence) int {
	return cmp.Or(
		CompareHostnames(p.Hostname, q.Hostname),
		cmp.Compare(p.Path, q.Path),
		cmp.Compare(q.Length, p.Length),
		compareBool(p.Method, q.Method),
		cmp.Compare(q.Headers, p.Headers),
		cmp.Compare(q.Query, p.Query),
		p.Created.Compare(q.Created),
		cmp.Compare(p.Namespace, q.Namespace),
		cmp.Compare(p.Name, q.Name),
		cmp.Compare(p.Rule, q.Rule),
		cmp.Compare(p.Match, q.Match),
	)
}

// compareBool orders true first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
