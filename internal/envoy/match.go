package envoy

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// routeMatch is every part of a match.
func routeMatch(m model.Match) (*routev3.RouteMatch, error) {
	match, err := pathMatch(m.Path)
	if err != nil {
		return nil, err
	}
	if m.GRPC {
		match.Grpc = &routev3.RouteMatch_GrpcRouteMatchOptions{}
	}
	if m.Method != "" {
		match.Headers = append(match.Headers, headerMatcher(":method", exactly(m.Method)))
	}
	for _, header := range m.Headers {
		if !token(header.Name) {
			return nil, fmt.Errorf("%q is no name of a header", header.Name)
		}
		value, err := valueMatcher(header)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", header.Name, err)
		}
		match.Headers = append(match.Headers, headerMatcher(header.Name, value))
	}
	for _, query := range m.Query {
		value, err := valueMatcher(query)
		if err != nil {
			return nil, fmt.Errorf("query parameter %s: %w", query.Name, err)
		}
		match.QueryParameters = append(match.QueryParameters, &routev3.QueryParameterMatcher{
			Name: query.Name,
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{
				StringMatch: value,
			},
		})
	}
	return match, nil
}

// anyPath matches every request.
func anyPath() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// pathMatch compares the path; the zero ValueMatch takes every path.
func pathMatch(path model.ValueMatch) (*routev3.RouteMatch, error) {
	switch path.Kind {
	case model.Exact:
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path.Value}}, nil
	case model.Prefix, "":
		prefix := pathPrefix(path.Value)
		if prefix == "" {
			return anyPath(), nil
		}
		// Whole elements only: /foo takes /foo and /foo/bar, not /foobar.
		return &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix},
		}, nil
	case model.Regex:
		regex, err := safeRegex(path.Value)
		if err != nil {
			return nil, fmt.Errorf("path: %w", err)
		}
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: regex}}, nil
	default:
		return nil, fmt.Errorf("path: %q is no kind of comparison", path.Kind)
	}
}

// pathPrefix is a prefix without the slash at its end, which means nothing
// (Gateway API, PathMatchPathPrefix); "" takes every path.
func pathPrefix(value string) string { return strings.TrimRight(value, "/") }

// valueMatcher compares a header's or a query parameter's value.
func valueMatcher(m model.ValueMatch) (*matcherv3.StringMatcher, error) {
	switch m.Kind {
	case model.Exact, "":
		return exactly(m.Value), nil
	case model.Regex:
		regex, err := safeRegex(m.Value)
		if err != nil {
			return nil, err
		}
		return &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex},
		}, nil
	default:
		return nil, fmt.Errorf("%q is no kind of comparison of a value", m.Kind)
	}
}

func exactly(value string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}}
}

func headerMatcher(name string, value *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name:                 name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: value},
	}
}

// token says whether a name is a header's (RFC 9110 section 5.6.2). Names that
// begin with a colon are not: they are not headers but parts of the request.
func token(name string) bool {
	if name == "" {
		return false
	}
	for _, r := range name {
		if !strings.ContainsRune(tokenRunes, r) {
			return false
		}
	}
	return true
}

const tokenRunes = "!#$%&'*+-.^_`|~" +
	"0123456789" +
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" +
	"abcdefghijklmnopqrstuvwxyz"
