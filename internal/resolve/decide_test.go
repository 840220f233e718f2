package resolve

import (
	"fmt"
	"reflect"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/snapshot"
)

// TestWhatLeadsToNoGatewayOfOursCostsNothing: a route may name 32 Gateways of
// others, each with many listeners, and 256 backends that do not even exist.
func TestWhatLeadsToNoGatewayOfOursCostsNothing(t *testing.T) {
	snap := func(listeners int) *snapshot.Snapshot {
		gateway := &gatewayv1.Gateway{}
		gateway.Namespace, gateway.Name = "infra", "theirs"
		gateway.Spec.GatewayClassName = "theirs"
		for i := range listeners {
			gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{
				Name: gatewayv1.SectionName(fmt.Sprint("http-", i)), Port: gatewayv1.PortNumber(8000 + i),
				Protocol: gatewayv1.HTTPProtocolType,
				AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{
					From: new(gatewayv1.NamespacesFromAll),
				}},
			})
		}
		route := &gatewayv1.HTTPRoute{}
		route.Namespace, route.Name = "mine", "many"
		route.Spec.ParentRefs = []gatewayv1.ParentReference{{
			Namespace: new(gatewayv1.Namespace("infra")), Name: "theirs",
		}}
		for range 16 {
			var rule gatewayv1.HTTPRouteRule
			for i := range 16 {
				var ref gatewayv1.HTTPBackendRef
				ref.Name, ref.Port = gatewayv1.ObjectName(fmt.Sprint("absent-", i)), new(gatewayv1.PortNumber(80))
				rule.BackendRefs = append(rule.BackendRefs, ref)
			}
			route.Spec.Rules = append(route.Spec.Rules, rule)
		}
		return &snapshot.Snapshot{
			Now: noon, Gateways: snapshot.NewObjects(gateway), HTTPRoutes: snapshot.NewObjects(route),
		}
	}
	many := snap(64)
	if got, want := len(Build(many).Paths), 64*16*16; got != want {
		t.Fatalf("%d paths, want %d: the test does not test what it says", got, want)
	}
	if paths := Decide(many).Paths; paths != nil {
		t.Errorf("%d paths that nobody asked for", len(paths))
	}
}

// TestDecideIsBuild but for the paths.
func TestDecideIsBuild(t *testing.T) {
	w := newWorld(t)
	w.policy("api", byCA)
	whole, decided := Build(w.snap), Decide(w.snap)
	if len(whole.Paths) == 0 && len(whole.Gateways) == 0 {
		t.Fatal("there is nothing to compare")
	}
	whole.Paths = nil
	if !reflect.DeepEqual(decided, whole) {
		t.Errorf("decided %+v, want %+v", decided, whole)
	}
}
