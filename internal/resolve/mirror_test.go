package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// mirroring is a world in which svc/api gets requests, and copies if filters say
// so.
func mirroring(t *testing.T, filters ...gatewayv1.HTTPRouteFilter) *world {
	t.Helper()
	w, _ := probing(t, trustSpec("CA", model.Standard))
	web, _ := w.snap.Gateways.Get(webKey.NamespacedName())
	web = web.DeepCopy()
	web.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 8080, Protocol: gatewayv1.HTTPProtocolType}}
	w.snap.Gateways = w.snap.Gateways.With(web)
	w.snap.HTTPRoutes = w.snap.HTTPRoutes.With(&gatewayv1.HTTPRoute{
		Namespace: "default", Name: "pages",
		Spec: gatewayv1.HTTPRouteSpec{
			ParentRefs: []gatewayv1.ParentReference{{Name: "web"}},
			Hostnames:  []gatewayv1.Hostname{"www.example.com"},
			Rules: []gatewayv1.HTTPRouteRule{{
				Filters:     filters,
				BackendRefs: []gatewayv1.HTTPBackendRef{{Name: "api", Port: new(gatewayv1.PortNumber(443))}},
			}},
		},
	})
	return w
}

// A mirror has limits of its own, and so another cluster. Nothing else about it
// is another one.
func TestABackendThatGetsCopiesTooIsTrustedTheSameAndReportedOnce(t *testing.T) {
	alone := mirroring(t)
	both := mirroring(t, gatewayv1.HTTPRouteFilter{
		Type: gatewayv1.HTTPRouteFilterRequestMirror,
		RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{
			BackendRef: gatewayv1.BackendObjectReference{Name: "api", Port: new(gatewayv1.PortNumber(443))},
		},
	})
	gateway := Build(both.snap).Gateways[webKey]
	if len(gateway.Backends) != 2 {
		t.Fatalf("%d backends, want one for requests and one for copies", len(gateway.Backends))
	}
	rule := gateway.Listeners[0].Servers[0].Hosts[0].Rules[0]
	for i := range gateway.Backends {
		named := rule.Split[0].Backend
		if gateway.Backends[i].Mirror {
			named = rule.Mirrors[0].Backend
		}
		if gateway.Backends[i].Name() != named {
			t.Errorf("the backend %+v is not the one that the rule names %s", gateway.Backends[i], named)
		}
	}
	first, second := gateway.Backends[0], gateway.Backends[1]
	if first.Mirror == second.Mirror {
		t.Error("requests and copies are told apart by something else")
	}
	first.Mirror = second.Mirror
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("copies are sent otherwise than requests:\n%s", diff)
	}

	of := map[int32]model.Probed{443: counted(true, nil, verified(2))}
	both.found(&gateway, of)
	if len(both.snap.Observed.Probes) != 1 {
		t.Errorf("%d subjects of live checks, want one", len(both.snap.Observed.Probes))
	}
	gateway = Build(alone.snap).Gateways[webKey]
	alone.found(&gateway, of)
	want, got := Build(alone.snap), Build(both.snap)
	if diff := cmp.Diff(want.Reports, got.Reports); diff != "" {
		t.Errorf("what is reported without and with copies:\n%s", diff)
	}
	if diff := cmp.Diff(want.Standings, got.Standings); diff != "" {
		t.Errorf("what is counted without and with copies:\n%s", diff)
	}
	condition := meta.FindStatusCondition(got.Reports[policyKey].Ancestors[0].Conditions, report.PolicyBackendsVerified)
	if condition == nil || !strings.HasPrefix(condition.Message, "2 of 2 endpoints pass") {
		t.Errorf("got %+v, want 2 of 2", condition)
	}
}
