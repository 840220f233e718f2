package gwapi

import (
	"cmp"
	"strings"
)

// A hostname here is what Gateway API calls Hostname: a precise DNS name, or a
// wildcard such as *.example.com that stands for one or more labels; "" stands
// for every host (gateway-api v1.7.0, Listener.Hostname).

// IsWildcard says whether the hostname starts with the wildcard label.
func IsWildcard(hostname string) bool { return strings.HasPrefix(hostname, "*.") }

// Covers says whether every host that inner stands for is one that outer
// stands for. *.example.com covers a.b.example.com but not example.com.
func Covers(outer, inner string) bool {
	switch {
	case outer == "" || outer == inner:
		return true
	case inner == "" || !IsWildcard(outer):
		return false
	}
	suffix, name := outer[1:], strings.TrimPrefix(inner, "*") // ".example.com"
	return strings.HasSuffix(name, suffix) && len(name) > len(suffix)
}

// Intersect is what both hostnames stand for: the narrower one, where one
// covers the other. Two hostnames of this form never overlap otherwise.
func Intersect(a, b string) (hostname string, ok bool) {
	switch {
	case Covers(a, b):
		return b, true
	case Covers(b, a):
		return a, true
	default:
		return "", false
	}
}

// Intersections lists what a listener's hostname and those of a route have in
// common, each with the route's own hostname, in the order of the route. A
// route without hostnames takes the listener's.
func Intersections(listener string, route []string) []Intersection {
	if len(route) == 0 {
		return []Intersection{{Hostname: listener}}
	}
	var common []Intersection
	for _, own := range route {
		if hostname, ok := Intersect(listener, own); ok {
			common = append(common, Intersection{Hostname: hostname, Own: own})
		}
	}
	return common
}

// Intersection is a hostname that a route serves on a listener.
type Intersection struct {
	Hostname string
	// Own is the route's hostname behind it, "" where the route has none.
	Own string
}

// CompareHostnames orders the most specific hostname first: precise before
// wildcard before "", then the longer one (HTTPRoute.spec.hostnames: most
// characters of a non-wildcard hostname, then most characters).
func CompareHostnames(a, b string) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(len(b), len(a)),
		cmp.Compare(a, b),
	)
}

func rank(hostname string) int {
	switch {
	case hostname == "":
		return 2
	case IsWildcard(hostname):
		return 1
	default:
		return 0
	}
}
