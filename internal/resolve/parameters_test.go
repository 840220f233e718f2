package resolve

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// withParameters is a world whose class and Gateway refer to GatewayParameters
// with the given backendTLS; "-" is no reference, "" no backendTLS.
func withParameters(t *testing.T, class, gateway string) *world {
	t.Helper()
	w := newWorld(t)
	for name, spec := range map[string]string{"of-class": class, "of-gateway": gateway} {
		if spec == "-" {
			continue
		}
		body := "spec: {}"
		if spec != "" {
			body = "spec: {backendTLS: " + spec + "}"
		}
		w.add("apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: " + name +
			", namespace: default}\n" + body)
	}
	if class != "-" {
		w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec:
  controllerName: backendtls.dev/gateway-controller
  parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: of-class, namespace: default}`)
	}
	if gateway != "-" {
		w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: backendtls
  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: of-gateway}}`)
	}
	return w
}

// askFor adds a policy that asks for a mode from noon on.
func (w *world) askFor(mode model.Mode, length time.Duration, reason string) {
	w.t.Helper()
	spec := trustSpec("CA", mode)
	if length != 0 {
		spec += fmt.Sprintf("  backendtls.dev/mode-since: %q\n  backendtls.dev/mode-until: %q\n",
			stamp(noon), stamp(noon.Add(length)))
	}
	if reason != "" {
		spec += fmt.Sprintf("  backendtls.dev/mode-reason: %q\n", reason)
	}
	w.policy("api", spec)
}

func TestClassAndGatewayCombineFieldByField(t *testing.T) {
	const (
		skip, expired = model.InsecureSkipVerification, model.InsecureAllowExpired
		all           = "[InsecureAllowExpired, InsecureSkipOnlySANVerification, InsecureSkipVerification]"
		one           = "{allowedModes: [InsecureAllowExpired]}"
		every         = "{allowedModes: " + all + "}"
		short         = "{allowedModes: " + all + ", maxDuration: 1h}"
		endless       = "{allowedModes: " + all + ", maxDuration: Unlimited}"
		silent        = "{allowedModes: " + all + ", requireReason: false}"
		free          = "{allowedModes: " + all + ", maxDuration: Unlimited, requireReason: false}"
		dev           = "{allowedModes: " + all + ", namespaces: {matchLabels: {env: dev}}}"
		prod          = "{allowedModes: " + all + ", namespaces: {matchLabels: {env: prod}}}"
		anywhere      = "{allowedModes: " + all + ", namespaces: {}}"
	)
	for _, c := range []struct {
		name, class, gateway string
		mode                 model.Mode
		length               time.Duration
		reason               string
		// refusal is what the message must have, "" if the mode is allowed.
		refusal string
	}{
		{"nobody says anything", "-", "-", skip, time.Hour, "why", "no GatewayParameters with spec.backendTLS"},
		{"neither has backendTLS", "", "", skip, time.Hour, "why", "no GatewayParameters with spec.backendTLS"},
		{"the class alone allows", every, "-", skip, time.Hour, "why", ""},
		{"the Gateway alone allows", "-", every, skip, time.Hour, "why", ""},
		{"a class without backendTLS sets no bound", "", every, skip, time.Hour, "why", ""},
		{"a Gateway without backendTLS sets no bound", every, "", skip, time.Hour, "why", ""},
		{"a class with empty backendTLS allows none", "{}", every, skip, time.Hour, "why", "of-class spec.backendTLS.allowedModes is empty"},
		{"a Gateway with empty backendTLS allows none", every, "{}", skip, time.Hour, "why", "of-gateway spec.backendTLS.allowedModes is empty"},
		{"modes intersect, the class is stricter", one, every, skip, time.Hour, "why", "of-class spec.backendTLS.allowedModes has only InsecureAllowExpired"},
		{"modes intersect, the Gateway is stricter", every, one, skip, time.Hour, "why", "of-gateway spec.backendTLS.allowedModes has only"},
		{"modes intersect in what is asked for", every, one, expired, time.Hour, "why", ""},
		{"24h is the default", every, every, skip, 24 * time.Hour, "why", ""},
		{"more than the default", every, every, skip, 24*time.Hour + time.Second, "why", "maxDuration is 24h0m0s, the default"},
		{"the shorter duration of the class", short, every, skip, 61 * time.Minute, "why", "of-class spec.backendTLS.maxDuration is 1h, but mode-until - mode-since is 1h1m0s"},
		{"the shorter duration of the Gateway", every, short, skip, 61 * time.Minute, "why", "of-gateway spec.backendTLS.maxDuration is 1h"},
		{"just the shorter duration", short, every, skip, time.Hour, "why", ""},
		{"Unlimited at the class alone", endless, every, skip, 25 * time.Hour, "why", "of-gateway spec.backendTLS.maxDuration is 24h0m0s"},
		{"Unlimited at the Gateway alone", every, endless, skip, 25 * time.Hour, "why", "of-class spec.backendTLS.maxDuration is 24h0m0s"},
		{"Unlimited at both", endless, endless, skip, 1000 * time.Hour, "why", ""},
		{"no times where both are required", every, "-", skip, 0, "why", "requires backendtls.dev/mode-since and backendtls.dev/mode-until"},
		{"no times where one of two requires them", endless, every, skip, 0, "why", "of-gateway spec.backendTLS.maxDuration"},
		{"no times where both are Unlimited", endless, endless, skip, 0, "why", ""},
		{"a reason by default", every, "-", skip, time.Hour, "", "requireReason requires backendtls.dev/mode-reason"},
		{"a reason that the class wants", every, silent, skip, time.Hour, "", "of-class spec.backendTLS.requireReason"},
		{"a reason that the Gateway wants", silent, every, skip, time.Hour, "", "of-gateway spec.backendTLS.requireReason"},
		{"a reason that nobody wants", silent, free, skip, time.Hour, "", ""},
		{"white space for a reason", every, "-", skip, time.Hour, "  ", "requireReason"},
		{"a namespace that both select", dev, anywhere, skip, time.Hour, "why", ""},
		{"a namespace that the class does not select", prod, dev, skip, time.Hour, "why", "of-class spec.backendTLS.namespaces (env=prod) does not select"},
		{"a namespace that the Gateway does not select", dev, prod, skip, time.Hour, "why", "of-gateway spec.backendTLS.namespaces (env=prod) does not select the policy's namespace default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := withParameters(t, c.class, c.gateway)
			w.askFor(c.mode, c.length, c.reason)
			p := w.build()
			decision := p.at("https")
			if c.refusal == "" {
				p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
				if decision.Decision.State != model.ModeAnnounced {
					t.Errorf("state %q, want it announced", decision.Decision.State)
				}
				return
			}
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonModeNotAllowed,
				c.refusal, "gateway/default/web", "may", string(c.mode))
			p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonFailClosed)
			if decision.Trust != nil || decision.Decision.State != model.ModeRefused {
				t.Errorf("decided %+v", decision)
			}
		})
	}
}

func TestEveryBrokenRuleIsNamedAtOnce(t *testing.T) {
	w := withParameters(t, "{allowedModes: [], maxDuration: 1h}", "{namespaces: {matchLabels: {env: prod}}, requireReason: true}")
	w.askFor(model.InsecureSkipVerification, 48*time.Hour, "")
	w.build().expect(policyKey, report.PolicyAccepted, report.PolicyReasonModeNotAllowed,
		"of-class spec.backendTLS.allowedModes", "of-class spec.backendTLS.maxDuration",
		"of-class spec.backendTLS.requireReason", "of-gateway spec.backendTLS.namespaces",
		"of-gateway spec.backendTLS.maxDuration", "of-gateway spec.backendTLS.allowedModes")
}

func TestParametersThatCannotBeUsedAllowNoMode(t *testing.T) {
	const every = "{allowedModes: [InsecureSkipVerification]}"
	for name, c := range map[string]struct {
		edit  func(w *world)
		words []string
	}{
		"a reference to a ConfigMap": {func(w *world) {
			w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: backendtls
  infrastructure: {parametersRef: {group: "", kind: ConfigMap, name: ca}}`)
		}, []string{"gateway/default/web spec.infrastructure.parametersRef", "core/ConfigMap", "backendtls.dev/GatewayParameters"}},
		"an object that does not exist": {func(w *world) {
			w.snap.Parameters = w.snap.Parameters.Without(gwapi.KeyOf("", "default", "of-gateway").NamespacedName())
		}, []string{"spec.infrastructure.parametersRef", "gatewayparameters/default/of-gateway does not exist"}},
		"a class reference without a namespace": {func(w *world) {
			w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec:
  controllerName: backendtls.dev/gateway-controller
  parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: of-class}`)
		}, []string{"gatewayclass/backendtls spec.parametersRef has no namespace"}},
		"an object with a fault": {func(w *world) {
			w.snap.Faults = map[gwapi.Key]string{
				gwapi.KeyOf(gwapi.KindGatewayParameters, "default", "of-class"): "it is in two files",
			}
		}, []string{"gatewayparameters/default/of-class is not usable: it is in two files"}},
		"a duration that is none": {func(w *world) {
			w.parameters("of-gateway", "{allowedModes: [InsecureSkipVerification], maxDuration: 1d}")
		}, []string{"of-gateway spec.backendTLS.maxDuration", `"1d"`, "Unlimited"}},
		"a negative duration": {func(w *world) {
			w.parameters("of-gateway", "{allowedModes: [InsecureSkipVerification], maxDuration: -1h}")
		}, []string{`"-1h"`}},
		"a mode that does not exist": {func(w *world) {
			w.parameters("of-gateway", "{allowedModes: [InsecureSkipVerification, Standard]}")
		}, []string{"of-gateway spec.backendTLS.allowedModes", `"Standard" is not an insecure mode`}},
		"a selector that makes no sense": {func(w *world) {
			w.parameters("of-gateway", "{allowedModes: [InsecureSkipVerification], namespaces: {matchExpressions: [{key: a, operator: Near}]}}")
		}, []string{"of-gateway spec.backendTLS.namespaces"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := withParameters(t, every, every)
			c.edit(w)
			w.askFor(model.InsecureSkipVerification, time.Hour, "why")
			p := w.build()
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonModeNotAllowed, c.words...)
			if fault := p.parametersOf(webKey).Fault; !strings.Contains(fault, c.words[0]) {
				t.Errorf("the Gateway's fault is %q", fault)
			}
			// A strict policy is none of its business.
			w.policy("api", trustSpec("CA", model.Standard))
			if w.build().at("https").Trust == nil {
				t.Error("a strict policy is refused too")
			}
		})
	}
}

func (w *world) parameters(name, backendTLS string) {
	w.t.Helper()
	w.add("apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: " + name +
		", namespace: default}\nspec: {backendTLS: " + backendTLS + "}")
}

func TestTheHigherTLSFloorHoldsUnderEveryMode(t *testing.T) {
	for _, tc := range []struct {
		class, gateway string
		want           uint16
	}{
		{"-", "-", 0},
		{"-", `{minTLSVersion: "1.2"}`, 0},
		{"-", `{minTLSVersion: "1.3"}`, tls.VersionTLS13},
		{`{minTLSVersion: "1.3"}`, `{minTLSVersion: "1.2"}`, tls.VersionTLS13},
		{`{minTLSVersion: "1.2"}`, `{minTLSVersion: "1.3"}`, tls.VersionTLS13},
		{`{minTLSVersion: "1.3"}`, "{}", tls.VersionTLS13},
		// What was meant is unknown: the mode is refused, the floor is the highest.
		{"-", `{minTLSVersion: "1.4"}`, tls.VersionTLS13},
	} {
		w := withParameters(t, tc.class, tc.gateway)
		w.policy("api", trustSpec("CA", model.Standard))
		decision := w.build().at("https")
		if decision.Trust == nil || decision.Trust.MinTLSVersion != tc.want || decision.Written.MinTLSVersion != tc.want {
			t.Errorf("class %s, Gateway %s: trust is %+v, want the floor %#x", tc.class, tc.gateway, decision.Trust, tc.want)
		}
	}
	w := withParameters(t, "-", `{minTLSVersion: "1.3", allowedModes: [InsecureSkipVerification], requireReason: false}`)
	w.askFor(model.InsecureSkipVerification, time.Hour, "")
	w.readBack(w.build())
	if trust := w.build().at("https").Trust; trust == nil || trust.Mode != model.InsecureSkipVerification ||
		trust.MinTLSVersion != tls.VersionTLS13 {
		t.Errorf("under a mode the trust is %+v, want it with the floor", trust)
	}
}

func TestParametersThatCouldNotBeReadAreUnknown(t *testing.T) {
	w := withParameters(t, "-", "{}")
	w.askFor(model.InsecureSkipVerification, time.Hour, "why")
	w.snap.Parameters = snapshot.Objects[*v1alpha1.GatewayParameters]{}
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindGatewayParameters, Namespace: "default"}: "forbidden"}
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonUnseen, "of-gateway could not be read: forbidden")
	if decision := p.at("https"); decision.Trust != nil || decision.Decision.State != model.ModeNone {
		t.Errorf("decided %+v", decision)
	}

	w = withParameters(t, "-", "{allowedModes: [InsecureSkipVerification], namespaces: {}}")
	w.askFor(model.InsecureSkipVerification, time.Hour, "why")
	w.snap.Namespaces = w.snap.Namespaces.Without(gwapi.KeyOf("", "", "default").NamespacedName())
	w.build().expect(policyKey, report.PolicyAccepted, report.PolicyReasonModeNotAllowed, "does not select")
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindNamespace}: "forbidden"}
	w.build().expect(policyKey, report.PolicyAccepted, report.PolicyReasonUnseen, "namespace/default could not be read")
}

func TestOtherGatewaysAreUnaffectedByARefusal(t *testing.T) {
	w := withParameters(t, "-", "{allowedModes: [InsecureSkipVerification]}")
	w.add("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: strict, namespace: default}\n" +
		"spec: {gatewayClassName: backendtls}")
	w.askFor(model.InsecureSkipVerification, time.Hour, "why")
	p := w.build()
	strict := gwapi.KeyOf(gwapi.KindGateway, "default", "strict")
	if p.on(strict, apiKey, "https").Trust != nil || p.at("https").Trust == nil {
		t.Error("want 500 on gateway/strict alone")
	}
	if reason := p.entry(policyKey, strict)[report.PolicyAccepted].Reason; reason != string(report.PolicyReasonModeNotAllowed) {
		t.Errorf("gateway/strict: Accepted %s", reason)
	}
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
}
