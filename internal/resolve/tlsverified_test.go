package resolve

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/report"
)

// probing is a world whose Gateway has live checks, and the model of that
// Gateway with both ports of svc/api under policy api.
func probing(t *testing.T, spec string, documents ...string) (*world, model.Gateway) {
	t.Helper()
	w := newWorld(t, append([]string{
		`apiVersion: backendtls.dev/v1alpha1
kind: GatewayParameters
metadata: {name: checked, namespace: default}
spec: {probe: {enabled: true}, backendTLS: {allowedModes: [InsecureSkipVerification], maxDuration: Unlimited, requireReason: false}}`,
		`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default, generation: 3}
spec:
  gatewayClassName: backendtls
  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: checked}}`,
	}, documents...)...)
	w.policy("api", spec)
	gateway := model.Gateway{Key: webKey}
	for port, name := range map[int32]string{443: "https", 8443: "admin"} {
		decision := w.build().at(name)
		if decision.Written == nil {
			continue
		}
		gateway.Backends = append(gateway.Backends, model.Backend{
			Service: apiKey, Port: port, PortName: name, Trust: decision.Trust, Written: decision.Written,
			Checked: decision.Written.Digest(),
		})
	}
	return w, gateway
}

// found says what the checks of every backend found.
func (w *world) found(gateway *model.Gateway, of map[int32]model.Probed) {
	w.snap.Observed.Probes = map[model.ProbeKey]model.Probed{}
	for i := range gateway.Backends {
		key, _ := gateway.Backends[i].ProbeKey()
		if probed, known := of[key.Port]; known {
			w.snap.Observed.Probes[key] = probed
		}
	}
}

func counted(complete bool, unasked map[string]int, counts ...model.ProbeCount) model.Probed {
	probed := model.Probed{Complete: complete, Counts: counts, Interval: 5 * time.Minute, Found: noon.Add(-time.Hour)}
	for why, count := range unasked {
		probed.Unasked = append(probed.Unasked, model.ProbeCount{Result: why, Count: count})
		probed.Endpoints += count
	}
	for _, count := range counts {
		probed.Endpoints += count.Count
	}
	return probed
}

func verified(count int) model.ProbeCount { return model.ProbeCount{Result: "Verified", Count: count} }

func TestBackendsVerifiedSaysWhatTheChecksFound(t *testing.T) {
	leaf := pin.OfDER([]byte("a leaf")).String()
	of := func(result string, count int) model.ProbeCount {
		return model.ProbeCount{Result: result, Count: count, Leaves: []string{leaf}}
	}
	const since = "; found 2026-11-21T11:00Z, checked every 5m0s since"
	for _, c := range []struct {
		name          string
		https, admin  model.Probed
		status        metav1.ConditionStatus
		reason, words string
		whole         bool
	}{
		{
			name: "all pass", https: counted(true, nil, verified(3)), admin: counted(true, nil, verified(2)),
			status: "True", reason: "Verified", words: "5 of 5 endpoints pass the policy as written" + since, whole: true,
		},
		{
			name: "all of one port fail", https: counted(true, nil, of("PinMismatch", 3)), admin: counted(true, nil, of("PinMismatch", 2)),
			status: "False", reason: "PinMismatch",
			words: "0 of 5 endpoints pass the policy as written: 5 PinMismatch (" + leaf + ")" + since,
		},
		{
			name: "some fail", https: counted(true, nil, verified(1), of("UntrustedIssuer", 2)), admin: counted(true, nil, verified(2)),
			status: "False", reason: "MixedCertificates", words: "3 of 5 endpoints pass the policy as written: 2 UntrustedIssuer (" + leaf + ")",
		},
		{
			name: "some fail so and all others otherwise", https: counted(true, nil, of("HostnameMismatch", 3)),
			admin: counted(true, nil, of("CertificateExpired", 2)), status: "False", reason: "CertificateExpired",
			words: "2 CertificateExpired",
		},
		{
			name: "some cannot be reached", https: counted(true, nil, verified(1), model.ProbeCount{Result: "Unreachable", Count: 2}),
			admin: counted(true, nil, verified(2)), status: "False", reason: "Unreachable", words: "NetworkPolicy of namespace default",
		},
		{
			name: "none speaks TLS", https: counted(true, nil, model.ProbeCount{Result: "NotTLS", Count: 3}),
			admin: counted(true, nil, model.ProbeCount{Result: "NotTLS", Count: 2}), status: "False", reason: "NotTLS", words: "5 NotTLS",
		},
		{
			name: "one ends soon", https: counted(true, nil, verified(2), of("CertificateExpiring", 1)), admin: counted(true, nil, verified(2)),
			status: "False", reason: "CertificateExpiring", words: "5 of 5 endpoints pass the policy as written, but 1",
		},
		{
			name: "some are nobody's pods", https: counted(true, map[string]int{"NotAPod": 1, "NotOwned": 1}, verified(1)),
			admin: counted(true, nil, verified(2)), status: "True", reason: "Verified",
			words: "3 of 3 endpoints pass the policy as written; 2 of 5 endpoints are not asked, because no Pod of namespace default",
		},
		{
			name: "none is a pod", https: counted(true, map[string]int{"NotAPod": 1}), admin: counted(true, nil),
			status: "Unknown", reason: "NotProbed", words: "1 of 1 endpoints are not asked, because no Pod",
		},
		{
			name: "it may not read pods", https: counted(true, map[string]int{"Forbidden": 2}), admin: counted(true, nil),
			status: "Unknown", reason: "NotProbed", words: "apply the component manifests/components/probe",
		},
		{
			name: "there is no endpoint", https: counted(true, nil), admin: counted(true, nil),
			status: "Unknown", reason: "NotProbed", words: "no endpoint is ready",
		},
		{
			name: "they have begun", https: counted(false, nil, verified(1)), admin: counted(true, nil, verified(2)),
			status: "Unknown", reason: "NotProbed", words: "have just begun",
		},
		{
			name: "they have begun badly", https: counted(false, nil, of("PinMismatch", 1)), admin: counted(true, nil),
			status: "False", reason: "PinMismatch", words: "not every endpoint has been checked yet; of those that were, some fail: PinMismatch;",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, gateway := probing(t, trustSpec("CA", model.Standard))
			w.found(&gateway, map[int32]model.Probed{443: c.https, 8443: c.admin})
			p := w.buildFor(map[gwapi.Key]model.Gateway{webKey: gateway})
			p.expect(policyKey, report.PolicyBackendsVerified, report.PolicyReason(c.reason), c.words)
			condition := p.entry(policyKey, webKey)[report.PolicyBackendsVerified]
			if condition.Status != c.status || c.whole && condition.Message != c.words {
				t.Errorf("got %s: %s", condition.Status, condition.Message)
			}
		})
	}
}

func TestBackendsVerifiedSaysWhyNothingIsChecked(t *testing.T) {
	w := newWorld(t)
	w.policy("api", trustSpec("CA", model.Standard))
	w.build().expect(policyKey, report.PolicyBackendsVerified, report.PolicyReasonNotProbed,
		"spec.probe.enabled: true", "manifests/components/probe", "kubectl backendtls verify btlspolicy/api -n default")
	w.snap.Site.Standalone = true
	w.build().expect(policyKey, report.PolicyBackendsVerified, report.PolicyReasonNotProbed, "nobody here looks")

	w, gateway := probing(t, "validation: {hostname: 10.0.0.1, wellKnownCACertificates: System}")
	w.buildFor(map[gwapi.Key]model.Gateway{webKey: gateway}).expect(policyKey, report.PolicyBackendsVerified,
		report.PolicyReasonNotProbed, "not in force, see Accepted")
	w, gateway = probing(t, trustSpec("CA", model.Standard))
	w.buildFor(map[gwapi.Key]model.Gateway{webKey: gateway}).expect(policyKey, report.PolicyBackendsVerified,
		report.PolicyReasonNotProbed, "have just begun")
}

// TestTheLastWordStandsUntilANewLeaderKnowsBetter: but for what was said about
// another generation.
func TestTheLastWordStandsUntilANewLeaderKnowsBetter(t *testing.T) {
	w, gateway := probing(t, trustSpec("CA", model.Standard))
	gateways := map[gwapi.Key]model.Gateway{webKey: gateway}
	w.found(&gateway, map[int32]model.Probed{443: counted(true, nil, verified(3)), 8443: counted(true, nil, verified(2))})
	w.readBack(w.buildFor(gateways))
	written := w.buildFor(gateways).entry(policyKey, webKey)[report.PolicyBackendsVerified]

	// A new leader has checked nothing, then one port, then all: nothing is written anew.
	later := counted(true, nil, verified(3))
	later.Found = noon.Add(time.Hour)
	admin := counted(true, nil, verified(2))
	admin.Found = noon.Add(time.Hour)
	for _, of := range []map[int32]model.Probed{nil, {443: later}, {443: later, 8443: admin}} {
		w.found(&gateway, of)
		now := w.buildFor(gateways).entry(policyKey, webKey)[report.PolicyBackendsVerified]
		if now.Status != written.Status || now.Reason != written.Reason || now.Message != written.Message {
			t.Errorf("with %d ports checked: %s/%s: %s", len(of), now.Status, now.Reason, now.Message)
		}
	}
	// Whoever is late does not pretend.
	w.found(&gateway, map[int32]model.Probed{443: counted(false, nil), 8443: counted(false, nil)})
	w.buildFor(gateways).expect(policyKey, report.PolicyBackendsVerified, report.PolicyReasonNotProbed, "just begun")
	// A verdict about another generation is none about this one.
	w.found(&gateway, nil)
	policy, _ := w.snap.TLSPolicies.Get(policyKey.NamespacedName())
	changed := policy.DeepCopy()
	changed.Generation++
	w.snap.TLSPolicies = w.snap.TLSPolicies.With(changed)
	w.buildFor(gateways).expect(policyKey, report.PolicyBackendsVerified, report.PolicyReasonNotProbed, "just begun")
	// Found anew, it has its own time.
	w.found(&gateway, map[int32]model.Probed{443: later, 8443: admin})
	w.buildFor(gateways).expect(policyKey, report.PolicyBackendsVerified, "Verified", "found 2026-11-21T13:00Z")
}

func TestAModeThatIsOnSaysWhatStrictVerificationWouldSay(t *testing.T) {
	mode := trustSpec("CA", model.InsecureSkipVerification)
	w, gateway := probing(t, mode)
	gateways := map[gwapi.Key]model.Gateway{webKey: gateway}
	w.readBack(w.buildFor(gateways))
	p := w.buildFor(gateways)
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped,
		"strict verification was not checked")
	w.found(&gateway, map[int32]model.Probed{
		443:  counted(true, nil, verified(3), model.ProbeCount{Result: "HostnameMismatch", Count: 1}),
		8443: counted(true, nil, model.ProbeCount{Result: "CertificateExpiring", Count: 1}),
	})
	p = w.buildFor(gateways)
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped,
		"strict verification would pass now for 4 of 5 endpoints")
	// What is checked is the policy as written, although nothing of it is enforced.
	p.expect(policyKey, report.PolicyBackendsVerified, report.PolicyReasonMixedCertificates, "1 HostnameMismatch")
	w.found(&gateway, map[int32]model.Probed{443: counted(false, nil, verified(3)), 8443: counted(true, nil)})
	w.buildFor(gateways).expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped,
		"strict verification was not checked")
}

func TestClassAndGatewayCombineLiveChecks(t *testing.T) {
	const off = 0
	for _, c := range []struct {
		class, gateway string
		want           time.Duration
		note           string
	}{
		{"-", "-", off, ""},
		{"", "", off, ""},
		{"{enabled: true}", "-", 5 * time.Minute, ""},
		{"-", "{enabled: true}", 5 * time.Minute, ""},
		{"{enabled: true}", "", 5 * time.Minute, ""},
		{"{enabled: true}", "{enabled: true}", 5 * time.Minute, ""},
		{"{enabled: true}", "{enabled: false}", off, "gatewayparameters/default/of-gateway says"},
		{"{enabled: false}", "{enabled: true}", off, "gatewayparameters/default/of-class says"},
		{"{enabled: false}", "-", off, "gatewayparameters/default/of-class says"},
		{"{interval: 1m}", "{enabled: true}", time.Minute, ""},
		{"{interval: 1m}", "-", off, ""},
		{"{enabled: true, interval: 1m}", "{interval: 10m}", 10 * time.Minute, ""},
		{"{enabled: true, interval: 10m}", "{interval: 1m}", 10 * time.Minute, ""},
		{"{enabled: true, interval: 1s}", "-", 10 * time.Second, "gatewayparameters/default/of-class spec.probe.interval: 1s"},
		{"{enabled: true, interval: 0s}", "-", 10 * time.Second, "spec.probe.interval: 0s"},
		{"{enabled: true, interval: -1h}", "-", 10 * time.Second, "spec.probe.interval: -1h0m0s"},
		{"{enabled: true, interval: 1s}", "{interval: 30s}", 30 * time.Second, ""},
		{"{enabled: true}", "{interval: 48h}", 24 * time.Hour, "gatewayparameters/default/of-gateway spec.probe.interval: 48h0m0s"},
	} {
		t.Run(c.class+" and "+c.gateway, func(t *testing.T) {
			present := func(spec string) string { return map[bool]string{true: "-", false: ""}[spec == "-"] }
			w := withParameters(t, present(c.class), present(c.gateway))
			for name, spec := range map[string]string{"of-class": c.class, "of-gateway": c.gateway} {
				if spec != "-" && spec != "" {
					w.add("apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: " + name +
						", namespace: default}\nspec: {probe: " + spec + "}")
				}
			}
			object, _ := w.snap.Gateways.Get(webKey.NamespacedName())
			setting := newBuilder(w.snap).parameters(object).probing()
			if got := setting.interval(); got != c.want || setting.off() != (c.want == off) {
				t.Errorf("the interval is %s, want %s", got, c.want)
			}
			note := setting.note()
			if setting.off() {
				note = setting.remedy()
			}
			if !strings.Contains(note, c.note) || c.note == "" && c.want != off && note != "" {
				t.Errorf("said is %q, want %q", note, c.note)
			}
		})
	}
	w := withParameters(t, "{}", "{}")
	w.add("apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: of-class, namespace: default}\n" +
		"spec: {probe: {enabled: true}}")
	w.snap.Parameters = w.snap.Parameters.Without(gwapi.KeyOf("", "default", "of-gateway").NamespacedName())
	object, _ := w.snap.Gateways.Get(webKey.NamespacedName())
	if setting := newBuilder(w.snap).parameters(object).probing(); !setting.off() {
		t.Error("GatewayParameters that are not there might say no")
	}
}

// TestNoObservationChangesAModel: whatever the live checks find, and whatever
// status said of it, what Envoy gets is the same.
func TestNoObservationChangesAModel(t *testing.T) {
	w, _ := probing(t, trustSpec("CA", model.InsecureSkipVerification))
	w.snap.HTTPRoutes = w.snap.HTTPRoutes.With(decode[gatewayv1.HTTPRoute](t, []byte(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: api, port: 443}, {name: api, port: 8443}]}]`)))
	web, _ := w.snap.Gateways.Get(webKey.NamespacedName())
	web = web.DeepCopy()
	web.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}
	w.snap.Gateways = w.snap.Gateways.With(web)
	for _, said := range []bool{false, true} {
		if said {
			result := Build(w.snap)
			w.readBack(built{tlsPolicies: &tlsPolicies{b: &builder{reports: result.Reports}}, t: t})
		}
		without := Build(w.snap)
		gateway := without.Gateways[webKey]
		if len(gateway.Backends) != 2 || gateway.ProbeInterval == 0 || gateway.Backends[0].Checked == "" {
			t.Fatalf("nothing is checked: %+v", gateway.Backends)
		}
		messages := map[string]bool{}
		rapid.Check(t, func(r *rapid.T) {
			snap := *w.snap
			snap.Observed.Probes = drawProbes(r, &gateway)
			with := Build(&snap)
			// Saying what differs costs much more than to see that nothing does.
			if !reflect.DeepEqual(without.Gateways, with.Gateways) {
				r.Fatalf("a model depends on observations (-without +with):\n%s", cmp.Diff(without.Gateways, with.Gateways))
			}
			if !maps.Equal(without.Gateways[webKey].Shares, with.Gateways[webKey].Shares) || !without.NextDeadline.Equal(with.NextDeadline) {
				r.Fatal("shares or deadlines depend on observations")
			}
			messages[fmt.Sprint(with.Reports[policyKey])] = true
		})
		if len(messages) < 10 {
			t.Errorf("the observations were said in %d ways only", len(messages))
		}
	}
}

func drawProbes(r *rapid.T, gateway *model.Gateway) map[model.ProbeKey]model.Probed {
	probes := map[model.ProbeKey]model.Probed{}
	results := []string{"Verified", "PinMismatch", "Unreachable", "NotTLS", "CertificateExpiring", "UntrustedIssuer"}
	for i := range gateway.Backends {
		if rapid.Bool().Draw(r, "absent") {
			continue
		}
		key, _ := gateway.Backends[i].ProbeKey()
		var counts []model.ProbeCount
		for _, result := range results {
			if n := rapid.IntRange(0, 3).Draw(r, result); n > 0 {
				counts = append(counts, model.ProbeCount{Result: result, Count: n})
			}
		}
		probes[key] = counted(rapid.Bool().Draw(r, "complete"), nil, counts...)
	}
	return probes
}

// Envoy has a cluster for each protocol, and offers other things in each, but the
// endpoints are the same.
func TestAPortBehindRoutesOfTwoProtocolsIsCheckedOnce(t *testing.T) {
	w, _ := probing(t, trustSpec("CA", model.Standard))
	web, _ := w.snap.Gateways.Get(webKey.NamespacedName())
	web = web.DeepCopy()
	web.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 8080, Protocol: gatewayv1.HTTPProtocolType}}
	w.snap.Gateways = w.snap.Gateways.With(web)
	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "web"}}}
	backend := gatewayv1.BackendRef{Name: "api", Port: new(gatewayv1.PortNumber(443))}
	w.snap.HTTPRoutes = w.snap.HTTPRoutes.With(&gatewayv1.HTTPRoute{
		Namespace: "default", Name: "pages",
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: parents, Hostnames: []gatewayv1.Hostname{"www.example.com"},
			Rules: []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: backend}}}},
		},
	})
	w.snap.GRPCRoutes = w.snap.GRPCRoutes.With(&gatewayv1.GRPCRoute{
		Namespace: "default", Name: "calls",
		Spec: gatewayv1.GRPCRouteSpec{
			CommonRouteSpec: parents, Hostnames: []gatewayv1.Hostname{"grpc.example.com"},
			Rules: []gatewayv1.GRPCRouteRule{{BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: backend}}}},
		},
	})
	gateway := Build(w.snap).Gateways[webKey]
	if len(gateway.Backends) != 2 {
		t.Fatalf("%d backends, want one for each protocol", len(gateway.Backends))
	}
	w.found(&gateway, map[int32]model.Probed{443: counted(true, nil, verified(2))})
	ancestors := Build(w.snap).Reports[policyKey].Ancestors
	if len(ancestors) != 1 {
		t.Fatalf("the policy has %d ancestors", len(ancestors))
	}
	condition := meta.FindStatusCondition(ancestors[0].Conditions, report.PolicyBackendsVerified)
	if condition == nil || !strings.HasPrefix(condition.Message, "2 of 2 endpoints pass") {
		t.Errorf("got %+v, want 2 of 2", condition)
	}
}
