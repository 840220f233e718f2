package model

import (
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Rule is one match of one rule of a route, and what happens then: a
// Redirect, else the Split. Neither means 500.
type Rule struct {
	Route gwapi.Key
	// Index is the position of the rule in its route.
	Index          int
	Match          Match
	RequestHeaders HeaderModifier
	Redirect       *Redirect
	Split          []WeightedBackend
	// Mirrors get copies of the requests that the Split forwards; what they answer
	// is thrown away.
	Mirrors []Mirror `json:",omitzero"`
}

// Mirror is a share of a Rule's requests that a Backend gets a copy of:
// Numerator of every Denominator requests, which is not 0.
type Mirror struct {
	// Backend is Backend.Name; there is no Mirror for one that is invalid.
	Backend                string
	Numerator, Denominator uint32
}

// WeightedBackend is a share of a Rule's requests.
type WeightedBackend struct {
	// Backend is Backend.Name, or "" where the reference is invalid or its
	// trust is: that share answers 500.
	Backend string
	Weight  uint32
}

// MatchKind is how a value is compared.
type MatchKind string

// The kinds of comparison. Prefix compares whole path elements.
const (
	Exact  MatchKind = "Exact"
	Prefix MatchKind = "Prefix"
	Regex  MatchKind = "Regex"
)

// Match is what a request must have; every part must hold.
type Match struct {
	Path ValueMatch // Name is unused
	// GRPC takes gRPC requests only.
	GRPC    bool   `json:",omitzero"`
	Method  string // "" is any
	Headers []ValueMatch
	Query   []ValueMatch
}

// ValueMatch compares the named header, query parameter or the path.
type ValueMatch struct {
	Kind  MatchKind
	Name  string
	Value string
}

// HeaderModifier changes request headers: Set, then Add, then Remove.
type HeaderModifier struct {
	Set    []Header
	Add    []Header
	Remove []string
}

// IsZero says whether nothing changes.
func (h HeaderModifier) IsZero() bool { return len(h.Set)+len(h.Add)+len(h.Remove) == 0 }

// EnvoyHeader says whether a header tells Envoy what to do with a request, such as
// x-envoy-retry-on or x-envoy-upstream-stream-duration-ms: on the request that is
// sent on, or on its copies, it outweighs the limits of the route and of the
// cluster (source/common/router/router.cc). Clients' own are taken away.
func EnvoyHeader(name string) bool {
	const prefix = "x-envoy-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// Header is a header and its value.
type Header struct{ Name, Value string }

// Redirect answers with a redirect; empty fields keep what the request has.
type Redirect struct {
	Scheme   string
	Hostname string
	// Port is 0 to keep, or to derive from Scheme.
	Port int32
	// Path is nil to keep.
	Path       *PathRewrite
	StatusCode int
}

// PathRewrite replaces the whole path (Exact) or the matched prefix (Prefix).
type PathRewrite struct {
	Kind  MatchKind
	Value string
}
