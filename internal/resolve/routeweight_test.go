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
// rule once for each hostname.
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
	w.snap.Gateways = snapshot.NewObjects(gateway)
	w.snap.HTTPRoutes = snapshot.NewObjects(
		largeRoute("mine", "first", 3*time.Hour, 16), largeRoute("mine", "second", 2*time.Hour, 16),
		largeRoute("mine", "small", time.Hour, 1), largeRoute("other", "young", time.Minute, 16),
	)
	result := Build(w.snap)
	served := map[string]bool{}
	for _, server := range result.Gateways[webKey].Listeners[0].Servers {
		for _, host := range server.Hosts {
			served[strings.TrimSuffix(strings.SplitN(host.Hostname, ".", 2)[1], ".example.com")] = true
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
		conditions := result.Reports[key].Parents[0].Conditions
		accepted := meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionAccepted))
		if (accepted.Status == metav1.ConditionTrue) != c.accepted {
			t.Errorf("%s: %s", key, accepted.Message)
		}
		if !c.accepted && !strings.Contains(accepted.Message, "have no room left on gateway/default/web") {
			t.Errorf("%s: %s", key, accepted.Message)
		}
		if served[c.name+"."+c.namespace] != c.accepted {
			t.Errorf("%s is served: %v", key, !c.accepted)
		}
	}
}
