package resolve

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// holding is an Envoy that may use an insecure cluster of policy api.
func holding(name string, modes ...model.Mode) model.Envoy {
	envoy := model.Envoy{Name: name, Connected: true}
	for _, mode := range modes {
		envoy.Held = append(envoy.Held, model.HeldCluster{Name: "default/api/443/x", Policy: policyKey, Mode: mode})
	}
	return envoy
}

func (w *world) envoys(envoys ...model.Envoy) {
	w.snap.Observed.Envoys = map[gwapi.Key][]model.Envoy{webKey: envoys}
}

// windowed is a world whose Gateway allows everything and whose policy skips
// verification from noon for an hour.
func windowed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, permissive)
	w.askFor(model.InsecureSkipVerification, time.Hour, "renewal is late")
	return w
}

func (p built) state() model.ModeState { return p.at("https").Decision.State }

func TestAModeFromBeginningToEnd(t *testing.T) {
	w := windowed(t)
	w.envoys(holding("envoy-1"))
	step := func(name string, at time.Duration, want model.ModeState, mode model.Mode, reason report.PolicyReason, next time.Time) built {
		t.Helper()
		w.snap.Now = noon.Add(at)
		p := w.build()
		trust := p.at("https").Trust
		if p.state() != want || trust == nil || trust.Mode != mode {
			t.Errorf("%s: state %q and trust %+v, want %q and %s", name, p.state(), trust, want, mode)
		}
		p.expect(policyKey, report.PolicySecurityDegraded, reason)
		if deadline := p.b.next; !deadline.Equal(next) {
			t.Errorf("%s: the next deadline is %s, want %s", name, deadline, next)
		}
		w.readBack(p)
		return p
	}
	const skipped = report.PolicyReasonVerificationSkipped
	end := noon.Add(time.Hour)
	step("a moment before", -time.Nanosecond, model.ModeNotStarted, model.Standard, report.PolicyReasonModeNotStarted, noon).
		expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonModeNotStarted, stamp(noon), "issuer, dates and name")
	step("at its start", 0, model.ModeAnnounced, model.Standard, skipped, end).
		expect(policyKey, report.PolicySecurityDegraded, skipped, "continuously since 2026-11-21T12:00:00Z")
	p := step("once status says so", time.Second, model.ModeActive, model.InsecureSkipVerification, skipped, end)
	p.expect(policyKey, report.PolicySecurityDegraded, skipped, "since 2026-11-21T12:00:00Z, until 2026-11-21T13:00:00Z",
		"continuously since 2026-11-21T12:00:00Z", `reason: "renewal is late"`, "strict verification was not checked")
	if conditions := p.gatewayConditions(webKey); len(conditions) != 1 ||
		conditions[0].Type != "backendtls.dev/InsecureBackendValidationMode" ||
		!strings.Contains(conditions[0].Message, policyKey.String()) {
		t.Errorf("Gateway conditions %+v", conditions)
	}
	w.envoys(holding("envoy-1", model.InsecureSkipVerification))
	step("a moment before its end", time.Hour-time.Nanosecond, model.ModeActive, model.InsecureSkipVerification, skipped, end)
	step("at its end, Envoy still has it", time.Hour, model.ModeExpired, model.Standard, skipped, time.Time{}).
		expect(policyKey, report.PolicySecurityDegraded, skipped, "envoy-1: default/api/443/x (InsecureSkipVerification)")
	w.envoys(holding("envoy-1"))
	p = step("once Envoy dropped it", time.Hour+time.Second, model.ModeExpired, model.Standard, report.PolicyReasonModeExpired, time.Time{})
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonModeExpired, "ended at 2026-11-21T13:00:00Z")
	if conditions := p.gatewayConditions(webKey); len(conditions) != 0 {
		t.Errorf("Gateway conditions %+v, want none", conditions)
	}
}

func TestARenewalKeepsTheTimeSinceWhichItIsDegraded(t *testing.T) {
	w := windowed(t)
	w.readBack(w.build())
	w.snap.Now = noon.Add(30 * time.Minute)
	status := w.snap.TLSPolicies.Sorted()[0].Status
	w.askFor(model.InsecureSkipVerification, 2*time.Hour, "later still")
	renewed := w.snap.TLSPolicies.Sorted()[0].DeepCopy()
	renewed.Status, renewed.Generation = status, 8
	w.snap.TLSPolicies = w.snap.TLSPolicies.With(renewed)
	p := w.build()
	if p.state() != model.ModeActive {
		t.Errorf("the renewal made the mode blink: %q", p.state())
	}
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped,
		"continuously since 2026-11-21T12:00:00Z", "until 2026-11-21T14:00:00Z", "later still")
}

func TestOnlyOurOwnEntryForThatGatewayAndThatModeOpensTheGate(t *testing.T) {
	entry := func(edit func(ref *world, entry *metav1.Condition, controller, gateway *string)) model.ModeState {
		w := windowed(t)
		p := w.build()
		p.b.reports.Stamp(noon)
		policy := w.snap.TLSPolicies.Sorted()[0].DeepCopy()
		policy.Status.Ancestors = p.b.reports[policyKey].Ancestors
		ancestor := &policy.Status.Ancestors[0]
		controller, gateway := string(ancestor.ControllerName), string(ancestor.AncestorRef.Name)
		for i := range ancestor.Conditions {
			if ancestor.Conditions[i].Type == report.PolicySecurityDegraded {
				edit(w, &ancestor.Conditions[i], &controller, &gateway)
			}
		}
		ancestor.ControllerName = gatewayv1.GatewayController(controller)
		ancestor.AncestorRef.Name = gatewayv1.ObjectName(gateway)
		w.snap.TLSPolicies = w.snap.TLSPolicies.With(policy)
		return w.build().state()
	}
	for name, c := range map[string]struct {
		edit func(w *world, condition *metav1.Condition, controller, gateway *string)
		want model.ModeState
	}{
		"as written": {func(*world, *metav1.Condition, *string, *string) {}, model.ModeActive},
		"of an older generation": {func(_ *world, c *metav1.Condition, _, _ *string) {
			c.ObservedGeneration = 1
		}, model.ModeActive},
		"of another controller": {func(_ *world, _ *metav1.Condition, controller, _ *string) {
			*controller = "example.com/other"
		}, model.ModeAnnounced},
		"for another Gateway": {func(_ *world, _ *metav1.Condition, _, gateway *string) {
			*gateway = "other"
		}, model.ModeAnnounced},
		"of another mode": {func(_ *world, c *metav1.Condition, _, _ *string) {
			c.Reason = string(report.PolicyReasonExpiredCertificatesAllowed)
		}, model.ModeAnnounced},
		"that says False": {func(_ *world, c *metav1.Condition, _, _ *string) {
			c.Status = metav1.ConditionFalse
		}, model.ModeAnnounced},
		"that is another condition": {func(_ *world, c *metav1.Condition, _, _ *string) {
			c.Type = report.PolicyAccepted
		}, model.ModeAnnounced},
	} {
		if got := entry(c.edit); got != c.want {
			t.Errorf("an entry %s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTighteningNeverWaits(t *testing.T) {
	w := windowed(t)
	w.readBack(w.build())
	w.envoys(holding("envoy-1", model.InsecureSkipVerification))
	status := w.snap.TLSPolicies.Sorted()[0].Status
	strict := w.policy("api", trustSpec("CA", model.Standard)).DeepCopy()
	strict.Status = status
	w.snap.TLSPolicies = w.snap.TLSPolicies.With(strict)
	p := w.build()
	if trust := p.at("https").Trust; trust == nil || trust.Mode != model.Standard {
		t.Errorf("trust %+v, want the strict one at once", trust)
	}
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped, "envoy-1")
	w.envoys(holding("envoy-1"))
	w.build().expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonStrict)
}

func TestAfterARestartTheLastWrittenTrueStaysUntilEveryEnvoyIsHeard(t *testing.T) {
	w := windowed(t)
	w.readBack(w.build())
	w.snap.Now = noon.Add(2 * time.Hour)
	w.envoys(holding("envoy-1"), model.Envoy{Name: "envoy-2"})
	w.build().expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped,
		"envoy-2: it has not been heard from")
	// What an Envoy has of before counts until it is gone, whatever it was.
	unknown := holding("envoy-2")
	unknown.Held = []model.HeldCluster{{Name: "default/api/443/before", Unknown: true}}
	w.envoys(holding("envoy-1"), unknown)
	w.build().expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped,
		"envoy-2: it has clusters that were sent before this operator started")
	w.envoys(holding("envoy-1"), holding("envoy-2"))
	w.build().expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonModeExpired)
}

func TestAnotherModeIsToldBeforeItIsInForce(t *testing.T) {
	for _, c := range []struct {
		name        string
		held, asked model.Mode
		told        report.PolicyReason
	}{
		{"from everything to less", model.InsecureSkipVerification, model.InsecureAllowExpired, report.PolicyReasonVerificationSkipped},
		{"from less to everything", model.InsecureAllowExpired, model.InsecureSkipVerification, report.PolicyReasonVerificationSkipped},
		{"from one thing to another", model.InsecureAllowExpired, model.InsecureSkipOnlySANVerification, report.PolicyReasonVerificationSkipped},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, permissive)
			w.askFor(c.held, time.Hour, "")
			w.readBack(w.build())
			status := w.snap.TLSPolicies.Sorted()[0].Status
			w.askFor(c.asked, time.Hour, "")
			changed := w.snap.TLSPolicies.Sorted()[0].DeepCopy()
			changed.Status = status
			w.snap.TLSPolicies = w.snap.TLSPolicies.With(changed)
			w.envoys(holding("envoy-1", c.held))

			p := w.build()
			p.expect(policyKey, report.PolicySecurityDegraded, c.told)
			if trust := p.at("https").Trust; trust.Mode != model.Standard {
				t.Errorf("%s is in force before status names it", trust.Mode)
			}
			w.readBack(p)
			w.envoys(holding("envoy-1"))
			w.readBack(w.build())
			p = w.build()
			p.expect(policyKey, report.PolicySecurityDegraded, modeReason(c.asked))
			if trust := p.at("https").Trust; trust.Mode != c.asked {
				t.Errorf("in force is %s, want %s", trust.Mode, c.asked)
			}
		})
	}
}

func TestARefusedModeStaysRefusedAfterItsEnd(t *testing.T) {
	w := newWorld(t)
	w.askFor(model.InsecureSkipVerification, time.Hour, "why")
	for _, at := range []time.Duration{-time.Hour, 0, 30 * time.Minute, time.Hour, 100 * time.Hour} {
		w.snap.Now = noon.Add(at)
		p := w.build()
		if p.state() != model.ModeRefused || p.at("https").Trust != nil {
			t.Errorf("at %s: %q", at, p.state())
		}
		p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonModeNotAllowed)
		p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonFailClosed)
		if !p.b.next.IsZero() {
			t.Errorf("at %s: waiting until %s would change something", at, p.b.next)
		}
		w.readBack(p)
	}
}

func TestAModeThatWasInForceExpiresEvenIfItIsForbiddenLater(t *testing.T) {
	const forbidden = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n" +
		"metadata: {name: web, namespace: default}\nspec: {gatewayClassName: backendtls}"
	w := windowed(t)
	w.readBack(w.build())
	w.readBack(w.build())

	// Forbidden while it is in force: refused at once.
	during := &world{t: t, snap: new(*w.snap)}
	during.add(forbidden)
	during.snap.Now = noon.Add(30 * time.Minute)
	p := during.build()
	if p.state() != model.ModeRefused || !p.b.next.Equal(noon.Add(time.Hour)) {
		t.Errorf("forbidden in force: %q, next deadline %s", p.state(), p.b.next)
	}

	// The end passes while nobody looks, then it is forbidden.
	w.add(forbidden)
	for _, at := range []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour} {
		w.snap.Now = noon.Add(at)
		p := w.build()
		if trust := p.at("https").Trust; p.state() != model.ModeExpired || trust == nil || trust.Mode != model.Standard {
			t.Errorf("at %s: %q with %+v, want it expired and strict", at, p.state(), trust)
		}
		p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonModeExpired)
		w.readBack(p)
	}

	// Another mode that was never in force does not inherit that.
	status := w.snap.TLSPolicies.Sorted()[0].Status
	w.askFor(model.InsecureAllowExpired, time.Hour, "why")
	changed := w.snap.TLSPolicies.Sorted()[0].DeepCopy()
	changed.Status = status
	w.snap.TLSPolicies = w.snap.TLSPolicies.With(changed)
	if p := w.build(); p.state() != model.ModeRefused {
		t.Errorf("another mode: %q, want it refused", p.state())
	}
}

func TestBarePinsSayWhatTheyDoNotCheck(t *testing.T) {
	w := newWorld(t)
	w.policy("api", trustSpec("pins alone", model.Standard))
	w.build().expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonPinned,
		"its issuer, its dates and its name are not checked")
}

func TestAGatewayThatIsNoLongerReachedIsReportedWhileEnvoyHoldsAMode(t *testing.T) {
	w := windowed(t)
	w.readBack(w.build())
	w.reaches = []reach{}
	w.envoys(holding("envoy-1", model.InsecureSkipVerification))
	p := w.build()
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonVerificationSkipped, "envoy-1")
	if len(p.gatewayConditions(webKey)) != 1 {
		t.Error("the Gateway does not say that it is degraded")
	}
	w.envoys(holding("envoy-1"))
	if entry := w.build().entry(policyKey, webKey); entry != nil {
		t.Errorf("entry %+v after Envoy dropped it, want none", entry)
	}
}
