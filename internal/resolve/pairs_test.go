package resolve

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// side is what a class or a Gateway says by its reference to GatewayParameters.
type side struct {
	// spec is the object's, "-" for no reference and "!" for one to nothing.
	spec string
	// broken says that it makes no sense.
	broken bool
	// bound is what it says about modes, nil where it has no backendTLS.
	bound *said
	// floor is the TLS version that it asks for, 0 for none.
	floor uint16
	// probe is what it says about live checks.
	probe struct {
		enabled  *bool
		interval time.Duration
	}
	// fleet is what it says about Envoys, and stream how long a stream may last
	// under it: -1 for Unlimited, 0 where it says nothing.
	fleet  model.Fleet
	stream time.Duration
}

// said is backendTLS with what absence means put in.
type said struct {
	modes    []model.Mode
	longest  time.Duration // -1 for Unlimited
	noReason bool
	// elsewhere says that it selects other namespaces than the policy's.
	elsewhere bool
}

func (s side) unusable() bool { return s.spec == "!" || s.broken }

const (
	expiredMode, nameMode = model.InsecureAllowExpired, model.InsecureSkipOnlySANVerification
	skipMode              = model.InsecureSkipVerification
	allModes              = "allowedModes: [InsecureAllowExpired, InsecureSkipOnlySANVerification, InsecureSkipVerification]"
)

// everyMode is a bound that allows every mode for a day, with a reason.
func everyMode(edits ...func(*said)) *said {
	s := &said{modes: model.Modes[1:], longest: defaultMaxDuration}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// common are the sides that every field is combined with.
func common() []side {
	return []side{
		{spec: "-"},
		{spec: "!"},
		{spec: "{}"},
		{spec: "{backendTLS: {}}", bound: &said{longest: defaultMaxDuration}},
		{spec: "{backendTLS: {" + allModes + "}}", bound: everyMode()},
		{spec: "{backendTLS: {" + allModes + "}, envoy: {logLevel: loud}}", bound: everyMode(), broken: true},
	}
}

// sides are the values of each field that are combined with each other.
func sides() map[string][]side {
	with := func(text string, edit func(*said)) side {
		return side{spec: "{backendTLS: {" + allModes + ", " + text + "}}", bound: everyMode(edit)}
	}
	modes := func(list string, modes ...model.Mode) side {
		return side{spec: "{backendTLS: {allowedModes: [" + list + "]}}", bound: &said{modes: modes, longest: defaultMaxDuration}}
	}
	broken := func(text string) side {
		if !strings.Contains(text, "allowedModes") {
			text = allModes + ", " + text
		}
		return side{spec: "{backendTLS: {" + text + "}}", bound: everyMode(), broken: true}
	}
	longest := func(text string, d time.Duration) side {
		return with("maxDuration: "+text, func(s *said) { s.longest = d })
	}
	floor := func(version string, floor uint16) side {
		s := with("minTLSVersion: "+version, func(*said) {})
		s.floor = floor
		return s
	}
	tooHigh := broken(`minTLSVersion: "1.4"`)
	tooHigh.floor = tls.VersionTLS13
	return map[string][]side{
		"allowedModes": {
			modes(""), modes("InsecureAllowExpired", expiredMode), modes("InsecureSkipOnlySANVerification", nameMode),
			modes("InsecureSkipVerification", skipMode),
			modes("InsecureAllowExpired, InsecureSkipVerification", expiredMode, skipMode), broken("allowedModes: [Standard]"),
		},
		"maxDuration": {
			longest("1h", time.Hour), longest("30m", 30*time.Minute), longest("0s", 0), longest("48h", 48*time.Hour),
			longest("Unlimited", -1), broken("maxDuration: 1d"), broken("maxDuration: unlimited"),
		},
		"requireReason": {
			with("requireReason: true", func(*said) {}),
			with("requireReason: false", func(s *said) { s.noReason = true }),
		},
		"namespaces": {
			with("namespaces: {}", func(*said) {}),
			with("namespaces: {matchLabels: {env: dev}}", func(*said) {}),
			with("namespaces: {matchLabels: {env: prod}}", func(s *said) { s.elsewhere = true }),
			with("namespaces: {matchExpressions: [{key: env, operator: Exists}]}", func(*said) {}),
			broken("namespaces: {matchExpressions: [{key: a, operator: Near}]}"),
		},
		"minTLSVersion": {floor(`"1.2"`, 0), floor(`"1.3"`, tls.VersionTLS13), tooHigh},
		"probe":         probeSides(),
		"envoy":         envoySides(),
		"maxStreamDuration": {
			{spec: "{envoy: {maxStreamDuration: 10m}}", stream: 10 * time.Minute},
			{spec: "{envoy: {maxStreamDuration: 24h}}", stream: 24 * time.Hour},
			{spec: "{envoy: {maxStreamDuration: 48h}}", stream: 48 * time.Hour},
			{spec: "{envoy: {maxStreamDuration: Unlimited}}", stream: -1},
			// What cannot be read was meant as a bound, and counts as the default.
			{spec: "{envoy: {maxStreamDuration: 1d}}", broken: true, stream: 24 * time.Hour},
		},
	}
}

func probeSides() (all []side) {
	for _, enabled := range []string{"", "true", "false"} {
		for _, interval := range []string{"", "1m", "10m"} {
			s := side{spec: "{probe: {"}
			if enabled != "" {
				s.spec += "enabled: " + enabled + ", "
				s.probe.enabled = new(enabled == "true")
			}
			if interval != "" {
				s.spec += "interval: " + interval
				s.probe.interval, _ = time.ParseDuration(interval)
			}
			s.spec += "}}"
			all = append(all, s)
		}
	}
	return all
}

func envoySides() (all []side) {
	add := func(spec string, fleet model.Fleet) {
		all = append(all, side{spec: "{envoy: {" + spec + "}}", fleet: fleet})
	}
	for _, v := range []string{"1", "2"} {
		add("replicas: "+v, model.Fleet{Replicas: int32(v[0] - '0')})
		add("image: i"+v, model.Fleet{Image: "i" + v})
		add("resources: {requests: {cpu: "+v+"}}", model.Fleet{Resources: []byte(`{"requests":{"cpu":"` + v + `"}}`)})
		level := map[string]string{"1": "debug", "2": "error"}[v]
		add("logLevel: "+level, model.Fleet{LogLevel: level})
		kind := map[string]string{"1": "ClusterIP", "2": "LoadBalancer"}[v]
		add("service: {type: "+kind+"}", model.Fleet{ServiceType: kind})
		add("service: {annotations: {a: v"+v+"}}", model.Fleet{ServiceAnnotations: map[string]string{"a": "v" + v}})
		add("podTemplate: {spec: {priorityClassName: p"+v+"}}", model.Fleet{PodTemplate: []byte(`{"spec":{"priorityClassName":"p` + v + `"}}`)})
	}
	for _, nonsense := range []string{"replicas: 0", "logLevel: loud", "service: {type: ExternalName}"} {
		all = append(all, side{spec: "{envoy: {" + nonsense + "}}", broken: true})
	}
	return all
}

// pair is a world whose class and Gateway say so.
func pair(t *testing.T, base *world, class, gateway side) *world {
	t.Helper()
	const none = "-"
	refs := map[string]string{"class": class.spec, "gateway": gateway.spec}
	w := &world{t: t, snap: new(*base.snap)}
	for name, spec := range refs {
		if spec != none && spec != "!" {
			w.add("apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: of-" + name +
				", namespace: default}\nspec: " + spec)
		}
	}
	if refs["class"] != none {
		w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec:
  controllerName: backendtls.dev/gateway-controller
  parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: of-class, namespace: default}`)
	}
	if refs["gateway"] != none {
		w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: backendtls
  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: of-gateway}}
  listeners: [{name: http, port: 80, protocol: HTTP}]`)
	}
	return w
}

// unpaired is what all pairs have in common.
func unpaired(t *testing.T) *world {
	t.Helper()
	return newWorld(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {env: dev}}",
		`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: backendtls
  listeners: [{name: http, port: 80, protocol: HTTP}]`)
}

// question is a mode that a policy asks for.
type question struct {
	mode   model.Mode
	length time.Duration // 0 for no times
	reason string
}

func questions() (all []question) {
	for _, mode := range model.Modes[1:] {
		all = append(all, question{mode, 30 * time.Minute, "why"})
	}
	for _, length := range []time.Duration{0, time.Hour, 24 * time.Hour, 25 * time.Hour, 49 * time.Hour} {
		all = append(all, question{skipMode, length, "why"})
	}
	return append(all, question{skipMode, 30 * time.Minute, ""})
}

// allows is product.md's table: the intersection of the modes, the smaller
// duration, a reason if either wants one, a namespace that both select; none
// without backendTLS and none while something cannot be used.
func allows(class, gateway side, q question) bool {
	if class.unusable() || gateway.unusable() {
		return false
	}
	modes, longest, needsReason, selected, bounds := model.Modes[1:], time.Duration(-1), false, true, 0
	for _, bound := range []*said{class.bound, gateway.bound} {
		if bound == nil {
			continue
		}
		bounds++
		modes = slices.DeleteFunc(slices.Clone(modes), func(m model.Mode) bool { return !slices.Contains(bound.modes, m) })
		if bound.longest >= 0 && (longest < 0 || bound.longest < longest) {
			longest = bound.longest
		}
		needsReason = needsReason || !bound.noReason
		selected = selected && !bound.elsewhere
	}
	return bounds > 0 && slices.Contains(modes, q.mode) && selected && (q.reason != "" || !needsReason) &&
		(longest < 0 || q.length != 0 && q.length <= longest)
}

// TestEveryPairOfClassAndGateway builds every pair of what a class and a Gateway
// can say of each field, and of a few things that any of them may say.
func TestEveryPairOfClassAndGateway(t *testing.T) {
	pairs := 0
	all, base := sides(), unpaired(t)
	for _, field := range slices.Sorted(maps.Keys(all)) {
		values := append(common(), all[field]...)
		for i, class := range values {
			for j, gateway := range values {
				if known := len(common()); pairs > known*known && i < known && j < known {
					continue // Once is enough.
				}
				pairs++
				t.Run(fmt.Sprintf("%s/%s+%s", field, class.spec, gateway.spec), func(t *testing.T) {
					judgePair(t, pair(t, base, class, gateway), class, gateway, field)
				})
			}
		}
	}
	if pairs < 1000 {
		t.Errorf("only %d pairs", pairs)
	}
}

func judgePair(t *testing.T, w *world, class, gateway side, field string) {
	t.Helper()
	asked := questions()
	if field == "probe" || field == "envoy" || field == "maxStreamDuration" {
		asked = asked[:1]
	}
	for _, q := range asked {
		w.askFor(q.mode, q.length, q.reason)
		p := w.build()
		allowed := p.at("https").Decision.State == model.ModeAnnounced
		if want := allows(class, gateway, q); allowed != want {
			t.Errorf("%s for %s with reason %q: allowed %v, want %v: %s", q.mode, q.length, q.reason, allowed, want,
				p.entry(policyKey, webKey)[report.PolicyAccepted].Message)
		}
		if !allowed && p.at("https").Trust != nil {
			t.Errorf("%s is refused, and requests are let through", q.mode)
		}
		allowance := AllowanceOf(w.snap, webKey, "default")
		if q.length > 0 && q.reason != "" && slices.Contains(allowance.Modes, q.mode) &&
			(!allowance.Limited || q.length <= allowance.Longest) != allowed {
			t.Errorf("people are told that %+v is allowed, but %s for %s is not", allowance, q.mode, q.length)
		}
	}
	w.policy("api", trustSpec("CA", model.Standard))
	result := Build(w.snap)
	built, ours := result.Gateways[webKey]
	if !ours {
		t.Fatal("the Gateway is not served")
	}
	unusable := class.unusable() || gateway.unusable()
	accepted := accepted(result.Reports[webKey].Conditions)
	if built.Unresolved != unusable || (accepted == "InvalidParameters") != unusable {
		t.Errorf("unresolved %v and %s, want it so: %v", built.Unresolved, accepted, unusable)
	}
	if trust := w.build().at("https").Trust; trust == nil || trust.MinTLSVersion != max(class.floor, gateway.floor) {
		t.Errorf("a strict policy has %+v, want the floor %#x", trust, max(class.floor, gateway.floor))
	}
	if want := wantInterval(class, gateway); built.ProbeInterval != want {
		t.Errorf("checked every %s, want %s", built.ProbeInterval, want)
	}
	if want := wantStream(class, gateway); w.build().parametersOf(webKey).sessionLimit != want {
		t.Errorf("streams may last %s, want %s", w.build().parametersOf(webKey).sessionLimit, want)
	}
	if !unusable {
		judgeFleet(t, class.fleet, gateway.fleet, built.Fleet)
	}
}

func accepted(conditions []metav1.Condition) string {
	for _, condition := range conditions {
		if condition.Type == "Accepted" {
			return condition.Reason
		}
	}
	return ""
}

// wantInterval: both must say yes where both say, the larger interval holds, and
// what cannot be used may say no.
func wantInterval(class, gateway side) time.Duration {
	on, off := false, class.unusable() || gateway.unusable()
	for _, enabled := range []*bool{class.probe.enabled, gateway.probe.enabled} {
		on = on || enabled != nil && *enabled
		off = off || enabled != nil && !*enabled
	}
	interval := max(class.probe.interval, gateway.probe.interval)
	switch {
	case off || !on:
		return 0
	case interval == 0:
		return model.DefaultProbeInterval
	default:
		return interval
	}
}

// wantStream: the smaller one, and Unlimited where nobody sets a bound; nothing
// above the default where somebody may have set one that cannot be read.
func wantStream(class, gateway side) time.Duration {
	one, other := class.stream, gateway.stream
	switch unread := class.spec == "!" || gateway.spec == "!"; {
	case unread && (min(one, other) < 0 || max(one, other) > 24*time.Hour):
		return 0
	case one > 0 && other > 0:
		return min(one, other)
	case one > 0 || other > 0:
		return max(one, other)
	case one < 0 || other < 0:
		return model.NoSessionLimit
	default:
		return 0
	}
}

// judgeFleet: the Gateway's before the class's, and what is the class's alone of
// the class alone.
func judgeFleet(t *testing.T, class, gateway, got model.Fleet) {
	t.Helper()
	want := class
	if gateway.Replicas != 0 {
		want.Replicas = gateway.Replicas
	}
	if gateway.LogLevel != "" {
		want.LogLevel = gateway.LogLevel
	}
	if gateway.ServiceType != "" {
		want.ServiceType = gateway.ServiceType
	}
	if gateway.Resources != nil {
		want.Resources = gateway.Resources
	}
	if got.Replicas != want.Replicas || got.LogLevel != want.LogLevel || got.ServiceType != want.ServiceType ||
		got.Image != want.Image || !bytes.Equal(got.Resources, want.Resources) ||
		!bytes.Equal(got.PodTemplate, want.PodTemplate) || !maps.Equal(got.ServiceAnnotations, want.ServiceAnnotations) {
		t.Errorf("Envoys are run by %+v, want %+v", got, want)
	}
}

// TestOneObjectForBothIsOneBound: the same GatewayParameters by class and Gateway.
func TestOneObjectForBothIsOneBound(t *testing.T) {
	w := pair(t, unpaired(t), side{spec: "{backendTLS: {" + allModes + "}}"}, side{spec: "-"})
	w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: backendtls
  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: of-class}}`)
	w.askFor(skipMode, 48*time.Hour, "why")
	p := w.build()
	if bounds := p.parametersOf(gwapi.KeyOf(gwapi.KindGateway, "default", "web")).bounds; len(bounds) != 1 {
		t.Errorf("%d bounds, want one", len(bounds))
	}
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonModeNotAllowed, "maxDuration is 24h0m0s")
}
