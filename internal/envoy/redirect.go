package envoy

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/model"
)

// wellKnown are the ports that a Location need not, and should not, name
// (Gateway API, HTTPRequestRedirectFilter.port).
var wellKnown = map[string]int32{"http": 80, "https": 443}

// redirectRoutes answers with a Location. One route, or two where what to do
// with the port depends on whether the client's Host header names one.
func redirectRoutes(
	p port, hostname string, rule *model.Rule, match *routev3.RouteMatch,
) ([]*routev3.Route, error) {
	action, err := redirectAction(rule)
	if err != nil {
		return nil, err
	}
	route := &routev3.Route{Match: match, Action: &routev3.Route_Redirect{Redirect: action}}
	toPort := redirectPort(p, rule.Redirect)
	toScheme := cmp.Or(rule.Redirect.Scheme, scheme(p.Protocol))
	switch {
	case toPort == 0:
		// Envoy keeps the port by which the client reached the listener.
		return []*routev3.Route{route}, nil
	case toPort != wellKnown[toScheme]:
		action.PortRedirect = uint32(toPort)
		return []*routev3.Route{route}, nil
	case action.GetHostRedirect() != "":
		// A host that is set comes without a port.
		return []*routev3.Route{route}, nil
	case preciseHostname(hostname):
		action.HostRedirect = hostname
		return []*routev3.Route{route}, nil
	}
	// The host is whatever the client asked for. Envoy keeps the port in it,
	// which would be the wrong one, unless it is told another.
	withPort := proto.CloneOf(route)
	withPort.GetRedirect().PortRedirect = uint32(toPort)
	withPort.Match.Headers = append(withPort.Match.Headers, headerMatcher(":authority", hasPort()))
	return []*routev3.Route{withPort, route}, nil
}

// redirectPort is the port of the Location: the one that is set, else that of
// the scheme that is set, else the listener's (Gateway API,
// HTTPRequestRedirectFilter.port). 0 is the listener's where the host stays:
// the client knows under which port it is reached.
func redirectPort(p port, redirect *model.Redirect) int32 {
	switch {
	case redirect.Port != 0:
		return redirect.Port
	case redirect.Scheme != "":
		return wellKnown[redirect.Scheme]
	case redirect.Hostname != "":
		return p.declared()
	default:
		return 0
	}
}

// hasPort matches a Host header that ends in a port, of an IPv6 address too.
func hasPort() *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: `.*:[0-9]+`},
	}}
}

// redirectAction is all of a redirect but its port.
func redirectAction(rule *model.Rule) (*routev3.RedirectAction, error) {
	redirect := rule.Redirect
	code, known := redirectCodes[redirect.StatusCode]
	switch {
	case !known:
		return nil, fmt.Errorf("redirect: the status code %d is none of 301, 302, 303, 307, 308", redirect.StatusCode)
	case redirect.Port < 0 || redirect.Port > 65535:
		return nil, fmt.Errorf("redirect: the port %d is not between 1 and 65535", redirect.Port)
	case redirect.Scheme != "" && wellKnown[redirect.Scheme] == 0:
		return nil, fmt.Errorf("redirect: the scheme %q is none of http, https", redirect.Scheme)
	case redirect.Hostname != "" && !preciseHostname(redirect.Hostname):
		return nil, fmt.Errorf("redirect: the hostname %q is not a DNS name", redirect.Hostname)
	}
	action := &routev3.RedirectAction{HostRedirect: redirect.Hostname, ResponseCode: code}
	if redirect.Scheme != "" {
		action.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: redirect.Scheme}
	}
	return action, redirectPath(action, rule)
}

// redirectCodes: the API's default where none is given is 302.
var redirectCodes = map[int]routev3.RedirectAction_RedirectResponseCode{
	0:   routev3.RedirectAction_FOUND,
	301: routev3.RedirectAction_MOVED_PERMANENTLY,
	302: routev3.RedirectAction_FOUND,
	303: routev3.RedirectAction_SEE_OTHER,
	307: routev3.RedirectAction_TEMPORARY_REDIRECT,
	308: routev3.RedirectAction_PERMANENT_REDIRECT,
}

// redirectPath replaces the whole path, or the matched prefix by the table at
// HTTPPathModifier.replacePrefixMatch: slashes at the end of either prefix
// mean nothing, and what is left always begins with one.
func redirectPath(action *routev3.RedirectAction, rule *model.Rule) error {
	path := rule.Redirect.Path
	if path == nil {
		return nil
	}
	switch path.Kind {
	case model.Exact:
		if !strings.HasPrefix(path.Value, "/") {
			return fmt.Errorf("redirect: the path %q does not begin with a slash", path.Value)
		}
		action.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: path.Value}
		return nil
	case model.Prefix:
	default:
		return fmt.Errorf("redirect: %q is no kind of path rewrite", path.Kind)
	}
	if kind := rule.Match.Path.Kind; kind != model.Prefix && kind != "" {
		return fmt.Errorf("redirect: a prefix can only be replaced where one is matched, the match is %s", kind)
	}
	from, to := pathPrefix(rule.Match.Path.Value), pathPrefix(path.Value)
	if to != "" && !strings.HasPrefix(to, "/") {
		return fmt.Errorf("redirect: the path %q does not begin with a slash", path.Value)
	}
	switch {
	case from == "":
		// Every path matches, and its first slash is what is replaced.
		action.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: to + "/"}
	case to == "":
		// Replacing /foo by nothing would leave nothing of /foo itself.
		action.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{
			RegexRewrite: &matcherv3.RegexMatchAndSubstitute{
				Pattern:      &matcherv3.RegexMatcher{Regex: "^" + regexp.QuoteMeta(from) + "/?"},
				Substitution: "/",
			},
		}
	default:
		action.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: to}
	}
	return nil
}
