package envoy

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// internalError is the status of a request that must fail for a reason that is
// not the client's (Gateway API, HTTPRouteRule.backendRefs).
const internalError = 500

// ruleName names the route of a rule in access logs and faults.
func ruleName(rule *model.Rule) string {
	return fmt.Sprintf("%s/%d", rule.Route, rule.Index)
}

// rule writes a rule: usually one route. A rule whose action cannot be written
// answers 500. One whose match cannot be is left out: a wider match would
// take requests from its neighbours.
func (t *translation) rule(p port, hostname string, rule *model.Rule) []*routev3.Route {
	name := ruleName(rule)
	var match *routev3.RouteMatch
	if !t.try(rule.Route, name, func() (err error) {
		match, err = routeMatch(rule.Match)
		if err != nil {
			return err
		}
		return validate(&routev3.Route{Match: match, Action: failure(rule)})
	}) {
		return nil
	}
	var routes []*routev3.Route
	if t.try(rule.Route, name, func() (err error) {
		routes, err = t.action(p, hostname, rule, match)
		for _, route := range routes {
			route.Name = name
			if err == nil {
				err = validate(route)
			}
		}
		return err
	}) {
		return routes
	}
	return []*routev3.Route{{Name: name, Match: match, Action: failure(rule)}}
}

// action is what a rule does with what it matches.
func (t *translation) action(
	p port, hostname string, rule *model.Rule, match *routev3.RouteMatch,
) ([]*routev3.Route, error) {
	if rule.Redirect != nil {
		return redirectRoutes(p, hostname, rule, match)
	}
	forward, err := t.split(rule)
	if err != nil {
		return nil, err
	}
	route := &routev3.Route{Match: match}
	if forward == nil {
		route.Action = failure(rule)
		return []*routev3.Route{route}, nil
	}
	if forward.RequestMirrorPolicies, err = t.mirrors(rule); err != nil {
		return nil, err
	}
	route.Action = &routev3.Route_Route{Route: forward}
	if err := modifyRequest(route, rule.RequestHeaders); err != nil {
		return nil, err
	}
	return []*routev3.Route{route}, nil
}

// noBackend is what gRPC clients are told beside the code, Unknown, that Envoy
// makes of a 500 for them: without a message they would know nothing at all.
const noBackend = "the gateway has no usable backend for this call"

// failure answers what a rule matches with 500.
func failure(rule *model.Rule) *routev3.Route_DirectResponse {
	response := directResponse(internalError)
	if rule.Match.GRPC {
		response.DirectResponse.Body = &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: noBackend},
		}
	}
	return response
}

// directResponse answers without a backend.
func directResponse(status uint32) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status}}
}
