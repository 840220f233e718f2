package resolve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// endless has more states than Envoy has memory for.
const endless = `(a|b)*a(a|b){13}`

// byPath matches so many paths by a regular expression.
func byPath(pattern string, count int) (matches []gatewayv1.HTTPRouteMatch) {
	for range count {
		matches = append(matches, gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{
			Type: new(gatewayv1.PathMatchRegularExpression), Value: new(pattern),
		}})
	}
	return matches
}

// byValue matches so many headers and query parameters in one match.
func byValue(pattern string, headers, query int) []gatewayv1.HTTPRouteMatch {
	match := gatewayv1.HTTPRouteMatch{}
	for i := range headers {
		match.Headers = append(match.Headers, gatewayv1.HTTPHeaderMatch{
			Type: new(gatewayv1.HeaderMatchRegularExpression), Value: pattern,
			Name: gatewayv1.HTTPHeaderName(fmt.Sprint("x-", i)),
		})
	}
	for i := range query {
		match.QueryParams = append(match.QueryParams, gatewayv1.HTTPQueryParamMatch{
			Type: new(gatewayv1.QueryParamMatchRegularExpression), Value: pattern,
			Name: gatewayv1.HTTPHeaderName(fmt.Sprint("q", i)),
		})
	}
	return []gatewayv1.HTTPRouteMatch{match}
}

// plainWorld has a Gateway with one listener.
func plainWorld(t *testing.T) *world {
	w := newWorld(t)
	gateway := &gatewayv1.Gateway{}
	gateway.Namespace, gateway.Name = "default", "web"
	gateway.Spec.GatewayClassName = "backendtls"
	gateway.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}
	w.snap.Gateways = snapshot.NewObjects(gateway)
	return w
}

// askedRoute is a route of the default namespace to the Gateway.
func askedRoute(name string, hosts int, matches []gatewayv1.HTTPRouteMatch) *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{}
	route.Namespace, route.Name = "default", name
	route.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour))
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "web"}}
	for i := range hosts {
		route.Spec.Hostnames = append(route.Spec.Hostnames, gatewayv1.Hostname(fmt.Sprintf("h%d.%s.example.com", i, name)))
	}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{Matches: matches}}
	return route
}

// TestExpressionsOfOneNamespaceHaveNotAllOfEnvoysMemory, wherever in a route they
// are: requests fill what Envoy keeps for each.
func TestExpressionsOfOneNamespaceHaveNotAllOfEnvoysMemory(t *testing.T) {
	const ordinary = `(?i).*(iphone|android|mobile|ipad|windows phone).*`
	redirected := func(count int) *gatewayv1.HTTPRoute {
		route := askedRoute("route", 1, byPath(endless, count))
		route.Spec.Rules[0].Filters = []gatewayv1.HTTPRouteFilter{{
			Type: gatewayv1.HTTPRouteFilterRequestRedirect,
			RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{
				Hostname: new(gatewayv1.PreciseHostname("elsewhere.example.com")),
			},
		}}
		return route
	}
	cut := func(count int) *gatewayv1.HTTPRoute {
		long := gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{
			Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/" + strings.Repeat("long", 200)),
		}}
		route := askedRoute("route", 1, slices.Repeat([]gatewayv1.HTTPRouteMatch{long}, count))
		route.Spec.Rules[0].Filters = []gatewayv1.HTTPRouteFilter{{
			Type: gatewayv1.HTTPRouteFilterRequestRedirect,
			RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{Path: &gatewayv1.HTTPPathModifier{
				Type: gatewayv1.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: new("/"),
			}},
		}}
		return route
	}
	for name, c := range map[string]struct {
		route   *gatewayv1.HTTPRoute
		refused bool
	}{
		"sixteen paths":                     {askedRoute("route", 1, byPath(endless, 16)), false},
		"one path more":                     {askedRoute("route", 1, byPath(endless, 17)), true},
		"an attack":                         {askedRoute("route", 1, byPath(endless, 64)), true},
		"one path for each hostname":        {askedRoute("route", 16, byPath(endless, 1)), false},
		"two paths for each hostname":       {askedRoute("route", 16, byPath(endless, 2)), true},
		"headers and parameters":            {askedRoute("route", 1, byValue(endless, 8, 8)), false},
		"one header more":                   {askedRoute("route", 1, byValue(endless, 9, 8)), true},
		"one parameter more":                {askedRoute("route", 1, byValue(endless, 8, 9)), true},
		"redirects":                         {redirected(8), false},
		"one more, for which there are two": {redirected(9), true},
		"two prefixes that are cut off":     {cut(2), false},
		"many prefixes that are cut off":    {cut(300), true},
		"what people write":                 {askedRoute("route", 16, byPath(ordinary, 32)), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := plainWorld(t)
			neighbour := askedRoute("neighbour", 1, byPath(`/v[0-9]+/.*`, 1))
			neighbour.CreationTimestamp = metav1.NewTime(noon) // The youngest, and there is room for it.
			if !c.refused {
				neighbour = askedRoute("neighbour", 1, nil)
			}
			w.snap.HTTPRoutes = snapshot.NewObjects(c.route, neighbour)
			result := Build(w.snap)
			for _, route := range []*gatewayv1.HTTPRoute{c.route, neighbour} {
				parent := result.Reports[gwapi.KeyOf(gwapi.KindHTTPRoute, "default", route.Name)].Parents[0]
				accepted := meta.FindStatusCondition(parent.Conditions, string(gatewayv1.RouteConditionAccepted))
				if want := c.refused && route == c.route; (accepted.Status == metav1.ConditionFalse) != want {
					t.Errorf("%s: %s", route.Name, accepted.Message)
				} else if want && !strings.Contains(accepted.Message, "the regular expressions of namespace default have no "+
					"room left on gateway/default/web") {
					t.Errorf("it is not said why: %s", accepted.Message)
				}
			}
			for _, host := range result.Gateways[webKey].Listeners[0].Servers[0].Hosts {
				for _, rule := range host.Rules {
					if c.refused && rule.Match.Path.Value == endless {
						t.Fatal("an expression of a route that was refused gets to Envoy")
					}
				}
			}
		})
	}
}

// TestExpressionsOfCallsCountAsEnvoyGetsThem: one of the service and the method
// together.
func TestExpressionsOfCallsCountAsEnvoyGetsThem(t *testing.T) {
	for _, c := range []struct {
		count   int
		refused bool
	}{{16, false}, {17, true}} {
		w := plainWorld(t)
		route := &gatewayv1.GRPCRoute{}
		route.Namespace, route.Name = "default", "calls"
		route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "web"}}
		rule := gatewayv1.GRPCRouteRule{}
		for range c.count {
			rule.Matches = append(rule.Matches, gatewayv1.GRPCRouteMatch{Method: &gatewayv1.GRPCMethodMatch{
				Type: new(gatewayv1.GRPCMethodMatchRegularExpression), Service: new(endless), Method: new("Get.*"),
			}})
		}
		route.Spec.Rules = []gatewayv1.GRPCRouteRule{rule}
		w.snap.HTTPRoutes, w.snap.GRPCRoutes = snapshot.NewObjects[*gatewayv1.HTTPRoute](), snapshot.NewObjects(route)
		parent := Build(w.snap).Reports[gwapi.KeyOf(gwapi.KindGRPCRoute, "default", "calls")].Parents[0]
		if refused := meta.IsStatusConditionFalse(parent.Conditions, string(gatewayv1.RouteConditionAccepted)); refused != c.refused {
			t.Errorf("%d are refused: %t", c.count, refused)
		}
	}
}

// TestMatchesCountTwiceWhereClientsShowCertificates, because there are two of each.
func TestMatchesCountTwiceWhereClientsShowCertificates(t *testing.T) {
	gateway := &gatewayNode{}
	hosts := make([]gwapi.Intersection, 3)
	route := &routeView{attachments: []*attachment{{gateway: gateway, bindings: []binding{
		{listener: &listenerNode{}, hosts: hosts},
		{listener: &listenerNode{clients: &frontend{clients: &model.ClientValidation{}}}, hosts: hosts},
	}}}}
	if got, want := route.matchedPlaces(gateway), 3+2*3; got != want {
		t.Errorf("%d places, want %d", got, want)
	}
}

// TestExpressionsAreLookedAtForABoundedTime: when it is over, those not seen before
// count in full, and no others do.
func TestExpressionsAreLookedAtForABoundedTime(t *testing.T) {
	const usual = `/v[0-9]+/.*`
	room := newPatternRoom()
	small := room.memory(usual)
	seen := 0
	for ; room.work > 0; seen++ {
		if seen > 1000 {
			t.Fatal("there is no end to it")
		}
		room.memory(fmt.Sprintf(`%d.*a(a|b){%d}`, seen, 15+seen%5))
	}
	if least := namespacePatternWork / patternWork; seen < least || room.work < -patternWork {
		t.Errorf("%d expressions were looked at, want %d at least; %d steps too many", seen, least, -room.work)
	}
	if got := room.memory(usual); got != small {
		t.Errorf("an expression that was seen weighs %d bytes, was %d", got, small)
	}
	if got := room.memory(usual + "x"); got != fullPattern {
		t.Errorf("an expression that nobody has time for weighs %d bytes", got)
	}
}
