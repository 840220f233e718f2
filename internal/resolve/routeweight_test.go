package resolve

import (
	"fmt"
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

// largeRoute has the largest object's worth of matches, for so many hostnames.
func largeRoute(namespace, name string, age time.Duration, hosts int) *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{}
	route.Namespace, route.Name = namespace, name
	route.CreationTimestamp = metav1.NewTime(noon.Add(-age))
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{
		Name: "web", Namespace: new(gatewayv1.Namespace("default")), SectionName: new(gatewayv1.SectionName("http")),
	}}
	for i := range hosts {
		route.Spec.Hostnames = append(route.Spec.Hostnames,
			gatewayv1.Hostname(fmt.Sprintf("h%d.%s.%s.example.com", i, name, namespace)))
	}
	var matches []gatewayv1.HTTPRouteMatch
	for i := range 64 {
		match := gatewayv1.HTTPRouteMatch{}
		for j := range 5 {
			match.Headers = append(match.Headers, gatewayv1.HTTPHeaderMatch{
				Name: gatewayv1.HTTPHeaderName(fmt.Sprintf("x-%d-%d", i, j)), Value: strings.Repeat("x", 3500),
			})
		}
		matches = append(matches, match)
	}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{Matches: matches}}
	return route
}

// TestRoutesOfOneNamespaceHaveNotTheWholeGateway: Envoy and the operator hold each
// rule once for each hostname. A route without room is refused as any other: it
// keeps its hostnames, so that nothing wider takes its requests.
func TestRoutesOfOneNamespaceHaveNotTheWholeGateway(t *testing.T) {
	w := newWorld(t)
	gateway := &gatewayv1.Gateway{}
	gateway.Namespace, gateway.Name = "default", "web"
	gateway.Spec.GatewayClassName = "backendtls"
	gateway.Spec.Listeners = []gatewayv1.Listener{{
		Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType,
		AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{
			From: new(gatewayv1.NamespacesFromAll),
		}},
	}}
	// Two parents that select one listener take its room once.
	twice := largeRoute("mine", "first", 3*time.Hour, 16)
	twice.Spec.ParentRefs = append(twice.Spec.ParentRefs, gatewayv1.ParentReference{
		Name: "web", Namespace: new(gatewayv1.Namespace("default")), Port: new(gatewayv1.PortNumber(80)),
	})
	wide := largeRoute("other", "wide", 5*time.Hour, 1)
	wide.Spec.Hostnames = []gatewayv1.Hostname{"*.example.com"}
	w.snap.Gateways = snapshot.NewObjects(gateway)
	w.snap.HTTPRoutes = snapshot.NewObjects(
		twice, largeRoute("mine", "second", 2*time.Hour, 16),
		largeRoute("mine", "small", time.Hour, 1), largeRoute("other", "young", time.Minute, 8), wide,
	)
	result := Build(w.snap)
	rules := map[string][]model.Rule{}
	for _, server := range result.Gateways[webKey].Listeners[0].Servers {
		for _, host := range server.Hosts {
			rules[host.Hostname] = host.Rules
		}
	}
	for _, c := range []struct {
		namespace, name string
		accepted        bool
	}{
		{"mine", "first", true},
		{"mine", "second", false}, // The younger one of two that are too large together.
		{"mine", "small", true},   // There is room for it.
		{"other", "young", true},  // Whoever came first in another namespace took nothing of it.
	} {
		key := gwapi.KeyOf(gwapi.KindHTTPRoute, c.namespace, c.name)
		for _, parent := range result.Reports[key].Parents {
			accepted := meta.FindStatusCondition(parent.Conditions, string(gatewayv1.RouteConditionAccepted))
			if (accepted.Status == metav1.ConditionTrue) != c.accepted {
				t.Errorf("%s: %s", key, accepted.Message)
			}
			if !c.accepted && (!strings.Contains(accepted.Message, "have no room left on gateway/default/web") ||
				!strings.Contains(accepted.Message, "answered with 500")) {
				t.Errorf("%s: %s", key, accepted.Message)
			}
		}
		served := rules[fmt.Sprintf("h0.%s.%s.example.com", c.name, c.namespace)]
		want := 64
		if !c.accepted {
			want = 1
		}
		if len(served) != want {
			t.Fatalf("%s has %d rules, want %d", key, len(served), want)
		}
		if first := served[0]; !c.accepted && (first.Route != key || first.Split != nil || first.Redirect != nil ||
			first.Match.Path != (model.ValueMatch{Kind: model.Prefix, Value: "/"})) {
			t.Errorf("%s answers %+v", key, first)
		}
	}
}

// TestManyHostnamesTakeRoomAlthoughTheirRulesAreSmall, and streams as requests do.
func TestManyHostnamesTakeRoomAlthoughTheirRulesAreSmall(t *testing.T) {
	w := newWorld(t)
	gateway := &gatewayv1.Gateway{}
	gateway.Namespace, gateway.Name = "default", "web"
	gateway.Spec.GatewayClassName = "backendtls"
	for port := range gatewayv1.PortNumber(64) {
		gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{
			Name: gatewayv1.SectionName(fmt.Sprintf("tls-%d", port)), Port: 9000 + port, Protocol: gatewayv1.TLSProtocolType,
			TLS: &gatewayv1.ListenerTLSConfig{Mode: new(gatewayv1.TLSModePassthrough)},
		})
	}
	w.snap.Gateways = snapshot.NewObjects(gateway)
	var routes []*gatewayv1.TLSRoute
	for i := range 30 {
		route := &gatewayv1.TLSRoute{}
		route.Namespace, route.Name = "default", fmt.Sprintf("route-%02d", i)
		route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "web"}}
		for j := range 16 {
			route.Spec.Hostnames = append(route.Spec.Hostnames, gatewayv1.Hostname(fmt.Sprintf("h%d-%d.example.com", i, j)))
		}
		route.Spec.Rules = []gatewayv1.TLSRouteRule{{BackendRefs: []gatewayv1.BackendRef{{Name: "api", Port: new(gatewayv1.PortNumber(443))}}}}
		routes = append(routes, route)
	}
	w.snap.TLSRoutes = snapshot.NewObjects(routes...)
	result := Build(w.snap)
	refused := 0
	for _, route := range routes {
		parent := result.Reports[gwapi.KeyOf(gwapi.KindTLSRoute, route.Namespace, route.Name)].Parents[0]
		if meta.IsStatusConditionFalse(parent.Conditions, string(gatewayv1.RouteConditionAccepted)) {
			refused++
		}
	}
	if refused == 0 || refused == len(routes) {
		t.Errorf("%d of %d routes are refused", refused, len(routes))
	}
}
