package resolve

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
)

// filterReader understands the filters of one rule. What is not supported is a
// fault of the rule: it is never served without the filter.
type filterReader struct {
	b     *builder
	route *routeNode
	field string
	rule  *httpRule
	// matches are an HTTPRoute's.
	matches []gatewayv1.HTTPRouteMatch
	// supported are the filters that routes of the kind may have.
	supported []gatewayv1.HTTPRouteFilterType
	mirrors   []backendRef
}

func (r *filterReader) fault(format string, values ...any) {
	r.rule.faults = append(r.rule.faults, r.field+fmt.Sprintf(format, values...))
}

func (r *filterReader) read(filters []gatewayv1.HTTPRouteFilter) {
	var seen []gatewayv1.HTTPRouteFilterType
	for i := range filters {
		filter := &filters[i]
		field := fmt.Sprintf("filters[%d]", i)
		if slices.Contains(seen, filter.Type) && filter.Type != gatewayv1.HTTPRouteFilterRequestMirror {
			r.fault("%s: a second %s; a rule has at most one", field, filter.Type)
			continue
		}
		seen = append(seen, filter.Type)
		switch {
		case filter.Type == gatewayv1.HTTPRouteFilterRequestHeaderModifier && filter.RequestHeaderModifier != nil:
			r.headerModifier(field+".requestHeaderModifier", filter.RequestHeaderModifier)
		case filter.Type == gatewayv1.HTTPRouteFilterRequestRedirect && filter.RequestRedirect != nil:
			r.redirect(field+".requestRedirect", filter.RequestRedirect)
		case filter.Type == gatewayv1.HTTPRouteFilterRequestMirror && filter.RequestMirror != nil:
			r.mirror(field+".requestMirror", filter.RequestMirror)
		default:
			r.fault("%s: type %q is not supported; %s are", field, filter.Type, joinTexts(r.supported))
		}
	}
	if r.rule.redirect != nil && len(r.rule.backends)+len(r.mirrors) > 0 {
		r.fault("backendRefs: a rule that redirects has no backends and mirrors nothing; remove one of them")
	}
	r.rule.backends = append(r.rule.backends, r.mirrors...)
}

// headerModifier understands RequestHeaderModifier. Each header has one action
// (HTTPHeaderFilter); within one list the first entry of a name counts.
func (r *filterReader) headerModifier(field string, spec *gatewayv1.HTTPHeaderFilter) {
	actions := map[string]string{}
	// claim says whether this entry is the one that counts.
	claim := func(list, name string) bool {
		name = strings.ToLower(name)
		switch earlier, taken := actions[name]; {
		case !taken:
			actions[name] = list
			r.modifiable(field+"."+list, name)
			return true
		case earlier != list:
			r.fault("%s: header %q is in %s and in %s; a header has one action", field, name, earlier, list)
		}
		return false
	}
	add := func(list string, headers []gatewayv1.HTTPHeader) (result []model.Header) {
		for _, header := range headers {
			if !claim(list, string(header.Name)) {
				continue
			}
			if !headerValue(header.Value) {
				r.fault("%s.%s: the value of %q holds control characters", field, list, header.Name)
			}
			result = append(result, model.Header{Name: strings.ToLower(string(header.Name)), Value: header.Value})
		}
		return result
	}
	r.rule.headers.Set = add("set", spec.Set)
	r.rule.headers.Add = add("add", spec.Add)
	for _, name := range spec.Remove {
		if claim("remove", name) {
			r.rule.headers.Remove = append(r.rule.headers.Remove, strings.ToLower(name))
		}
	}
}

// framingHeaders say where a request ends, or are about one connection (RFC
// 9110 section 7.6.1). Envoy would forward them as a route writes them: with
// Content-Length: 0 the body of a request is the next request on a connection
// that the routes of others share, and the answer to it goes to somebody else.
var framingHeaders = []string{
	"connection", "content-length", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
	"transfer-encoding", "upgrade",
}

// modifiable checks that a header may be modified at all: Envoy refuses a
// whole route table because of one that may not
// (source/common/router/header_parser.cc).
func (r *filterReader) modifiable(field, name string) {
	switch {
	case !headerName(name):
		r.fault("%s: %q is not a header name", field, name)
	case name == "host":
		r.fault("%s: header %q cannot be modified", field, name)
	case slices.Contains(framingHeaders, name):
		r.fault("%s: header %q decides where a request ends or belongs to one connection, and cannot be modified",
			field, name)
	case model.EnvoyHeader(name):
		r.fault("%s: header %q tells Envoy what to do with a request, and cannot be modified", field, name)
	case model.ClientHeader(name):
		// In any spelling that a backend could take for the same header.
		r.fault("%s: header %q is reserved for what the Gateway knows of the client's certificate", field, name)
	}
}

// statusCodes are those that RequestRedirect may answer with.
var statusCodes = []int{301, 302, 303, 307, 308}

func (r *filterReader) redirect(field string, spec *gatewayv1.HTTPRequestRedirectFilter) {
	const (
		defaultStatus = 302
		largestPort   = 65535
	)
	redirect := &model.Redirect{StatusCode: defaultStatus}
	r.rule.redirect = redirect
	if spec.Scheme != nil {
		redirect.Scheme = *spec.Scheme
		if redirect.Scheme != "http" && redirect.Scheme != "https" {
			r.fault("%s.scheme: %q is not one of http, https", field, *spec.Scheme)
		}
	}
	if spec.Hostname != nil {
		redirect.Hostname = string(*spec.Hostname)
		if !preciseHostname(redirect.Hostname) {
			r.fault("%s.hostname: %q is not a DNS name", field, *spec.Hostname)
		}
	}
	if spec.Port != nil {
		redirect.Port = *spec.Port
		if redirect.Port < 1 || redirect.Port > largestPort {
			r.fault("%s.port: %d is not a port", field, *spec.Port)
		}
	}
	if spec.StatusCode != nil {
		redirect.StatusCode = *spec.StatusCode
		if !slices.Contains(statusCodes, redirect.StatusCode) {
			r.fault("%s.statusCode: %d is not one of 301, 302, 303, 307, 308", field, *spec.StatusCode)
		}
	}
	if spec.Path != nil {
		redirect.Path = r.pathModifier(field+".path", spec.Path)
	}
}

func (r *filterReader) pathModifier(field string, spec *gatewayv1.HTTPPathModifier) *model.PathRewrite {
	var rewrite model.PathRewrite
	switch {
	case spec.Type == gatewayv1.FullPathHTTPPathModifier && spec.ReplaceFullPath != nil:
		rewrite = model.PathRewrite{Kind: model.Exact, Value: *spec.ReplaceFullPath}
	case spec.Type == gatewayv1.PrefixMatchHTTPPathModifier && spec.ReplacePrefixMatch != nil:
		rewrite = model.PathRewrite{Kind: model.Prefix, Value: *spec.ReplacePrefixMatch}
		for i := range r.matches {
			path := r.matches[i].Path
			if path != nil && path.Type != nil && *path.Type != gatewayv1.PathMatchPathPrefix {
				r.fault("%s: ReplacePrefixMatch needs a PathPrefix, but matches[%d].path.type is %q", field, i, *path.Type)
			}
		}
	default:
		r.fault("%s: type %q without its value; ReplaceFullPath with replaceFullPath and "+
			"ReplacePrefixMatch with replacePrefixMatch are supported", field, spec.Type)
	}
	if !headerValue(rewrite.Value) || strings.ContainsAny(rewrite.Value, " \t") {
		r.fault("%s: %q holds white space or control characters", field, rewrite.Value)
	}
	return &rewrite
}

// headerName says whether a name is a token (RFC 9110 section 5.1).
func headerName(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(others, r)
	})
}

// headerValue says whether a value may stand in a header: text without control
// characters but tabs (RFC 9110 section 5.5).
func headerValue(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool {
		return r < ' ' && r != '\t' || r == 0x7f
	})
}

// preciseHostname says whether a name is a DNS name without wildcard
// (PreciseHostname).
func preciseHostname(name string) bool {
	const longestName, longestLabel = 253, 63
	if name == "" || len(name) > longestName {
		return false
	}
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > longestLabel || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.ContainsFunc(label, other) {
			return false
		}
	}
	return true
}
