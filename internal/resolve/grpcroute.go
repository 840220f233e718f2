package resolve

import (
	"fmt"
	"regexp"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// grpcRoutes reads every GRPCRoute. A gRPC call is an HTTP/2 request for the path
// /SERVICE/METHOD (gRPC over HTTP/2, "Requests"), so its rules are HTTP rules.
func (b *builder) grpcRoutes() []*routeNode {
	objects := b.snap.GRPCRoutes.Sorted()
	routes := make([]*routeNode, 0, len(objects))
	for _, object := range objects {
		spec := &object.Spec
		route := b.newRoute(gwapi.KindGRPCRoute, object, &spec.CommonRouteSpec, &object.Status.RouteStatus, spec.Hostnames)
		for i := range spec.Rules {
			b.addGRPCRule(route, &spec.Rules[i], i)
		}
		routes = append(routes, route)
	}
	return routes
}

// addGRPCRule understands the rule at an index of the route.
func (b *builder) addGRPCRule(route *routeNode, spec *gatewayv1.GRPCRouteRule, index int) {
	field := fmt.Sprintf("rules[%d].", index)
	rule := httpRule{}
	matches := spec.Matches
	if len(matches) == 0 {
		matches = []gatewayv1.GRPCRouteMatch{{}}
	}
	for i := range matches {
		reader := matchReader{field: fmt.Sprintf("%smatches[%d].", field, i), patterns: &route.patterns}
		if match, ok := reader.readGRPC(&matches[i]); ok {
			route.place(&match, index, i)
			rule.matches = append(rule.matches, match)
		}
		route.faults = append(route.faults, reader.faults...)
	}
	if spec.SessionPersistence != nil { //nolint:staticcheck // Deprecated or not, it must not be left out silently.
		rule.faults = append(rule.faults, field+"sessionPersistence: not supported; remove the field")
	}
	for i := range spec.BackendRefs {
		ref := &spec.BackendRefs[i]
		if len(ref.Filters) > 0 {
			rule.faults = append(rule.faults, backendFilters(field, i))
		}
		rule.backends = append(rule.backends,
			b.backendRef(&route.routeView, &ref.BackendRef, fmt.Sprintf("%sbackendRefs[%d]", field, i)))
	}
	filters := filterReader{b: b, route: route, field: field, rule: &rule, supported: []gatewayv1.HTTPRouteFilterType{
		gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterRequestMirror,
	}}
	filters.read(grpcFilters(spec.Filters))
	if len(rule.faults) > 0 {
		rule.headers = model.HeaderModifier{}
	}
	route.rules = append(route.rules, rule)
}

// grpcFilters are the filters as an HTTPRoute would write them: those that both
// have are the same.
func grpcFilters(specs []gatewayv1.GRPCRouteFilter) []gatewayv1.HTTPRouteFilter {
	filters := make([]gatewayv1.HTTPRouteFilter, len(specs))
	for i := range specs {
		filters[i] = gatewayv1.HTTPRouteFilter{
			Type:                  gatewayv1.HTTPRouteFilterType(specs[i].Type),
			RequestHeaderModifier: specs[i].RequestHeaderModifier,
			RequestMirror:         specs[i].RequestMirror,
		}
	}
	return filters
}

// readGRPC is the match; ok is false where its method is not understood.
func (r *matchReader) readGRPC(spec *gatewayv1.GRPCRouteMatch) (match httpMatch, ok bool) {
	match.match.GRPC = true
	ok = r.method(spec.Method, &match)
	headers := make([]model.ValueMatch, len(spec.Headers))
	for i := range spec.Headers {
		header := &spec.Headers[i]
		headers[i] = model.ValueMatch{
			Kind: asked(header.Type), Name: strings.ToLower(string(header.Name)), Value: header.Value,
		}
	}
	match.match.Headers = r.values("headers", headers)
	match.precedence.Headers = len(match.match.Headers)
	return match, ok
}

// The rules of the CRD for names that are compared literally (GRPCMethodMatch).
var (
	grpcService = regexp.MustCompile(`^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$`)
	grpcMethod  = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*$`)
)

// grpcName is what stands for any service and any method.
const grpcName = "[^/]+"

// method understands the match of service and method, of which either may be
// absent.
func (r *matchReader) method(spec *gatewayv1.GRPCMethodMatch, match *httpMatch) bool {
	match.match.Path = model.ValueMatch{Kind: model.Prefix, Value: "/"}
	if spec == nil {
		return true
	}
	kind, service, method := gatewayv1.GRPCMethodMatchExact, "", ""
	if spec.Type != nil {
		kind = *spec.Type
	}
	if spec.Service != nil {
		service = *spec.Service
	}
	if spec.Method != nil {
		method = *spec.Method
	}
	match.precedence.Length = grpcLength(service, method, kind == gatewayv1.GRPCMethodMatchExact)
	switch {
	case service == "" && method == "":
		r.fault("method: neither service nor method is given; give one of them, or leave method out for any")
		return false
	case kind == gatewayv1.GRPCMethodMatchExact:
		match.match.Path = exactCall(service, method)
		return r.literalCall(service, method)
	case kind == gatewayv1.GRPCMethodMatchRegularExpression:
		match.match.Path = model.ValueMatch{Kind: model.Regex, Value: "/" + group(service) + "/" + group(method)}
		// Each must be whole by itself, or one could end where the other begins.
		return (service == "" || r.pattern("method.service", service)) &&
			(method == "" || r.pattern("method.method", method)) &&
			r.pattern("method", match.match.Path.Value)
	default:
		r.fault("method.type: %q is not one of Exact, RegularExpression", kind)
		return false
	}
}

// grpcLength orders matches by the characters of the service, then by those of
// the method (GRPCRouteRule.matches), which has at most 1024. Of two as long, an
// exact one goes before a pattern.
func grpcLength(service, method string, exact bool) int {
	length := (len(service)<<11 + len(method)) << 1
	if exact {
		length++
	}
	return length
}

func group(pattern string) string {
	if pattern == "" {
		return grpcName
	}
	return "(?:" + pattern + ")"
}

// exactCall is the path of a service's method, or of either with any other.
func exactCall(service, method string) model.ValueMatch {
	switch {
	case method == "":
		return model.ValueMatch{Kind: model.Prefix, Value: "/" + service}
	case service == "":
		return model.ValueMatch{Kind: model.Regex, Value: "/" + grpcName + "/" + method}
	default:
		return model.ValueMatch{Kind: model.Exact, Value: "/" + service + "/" + method}
	}
}

func (r *matchReader) literalCall(service, method string) bool {
	ok := true
	if service != "" && !grpcService.MatchString(service) {
		r.fault("method.service: %q is not the name of a gRPC service such as package.Service", service)
		ok = false
	}
	if method != "" && !grpcMethod.MatchString(method) {
		r.fault("method.method: %q is not the name of a gRPC method", method)
		ok = false
	}
	return ok
}
