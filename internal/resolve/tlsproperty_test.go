package resolve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// drawOptions draws options of which most are right and some are wrong.
func drawOptions(t *rapid.T) map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue {
	texts := testCertificates().texts
	choices := map[string][]string{
		"backendtls.dev/mode":                 {"Standard", "InsecureAllowExpired", "InsecureSkipOnlySANVerification", "InsecureSkipVerification", "Off"},
		"backendtls.dev/mode-since":           {stamp(noon), stamp(noon.Add(-time.Hour)), stamp(noon.Add(time.Hour)), "noon"},
		"backendtls.dev/mode-until":           {stamp(noon), stamp(noon.Add(time.Hour)), stamp(noon.Add(48 * time.Hour))},
		"backendtls.dev/mode-reason":          {"why", ""},
		"backendtls.dev/pins":                 {texts["SPKI"], texts["HASH"], texts["SPKI"] + " " + texts["HASH"], texts["STRANGE_SPKI"], "AA:BB"},
		"backendtls.dev/pins-only":            {"true", "true", "yes"},
		"backendtls.dev/trusted-certificates": {"configmap/leaves", "secret/ca", "configmap/absent,secret/ca", "configmap/garbage:half", "x"},
		"backendtls.dev/crl":                  {"configmap/crl"},
		"example.com/other":                   {"x"},
		"Backendtls.dev/pins":                 {texts["SPKI"]},
	}
	// The last three are drawn rarely: with them nothing else matters.
	likely := []string{"mode", "mode-since", "mode-until", "mode-reason", "pins", "pins-only", "trusted-certificates"}
	options := map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{}
	set := func(key string) {
		options[gatewayv1.AnnotationKey(key)] = gatewayv1.AnnotationValue(rapid.SampledFrom(choices[key]).Draw(t, key))
	}
	for _, name := range likely {
		if rapid.Bool().Draw(t, "has "+name) {
			set(gwapi.Prefix + name)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
		set(rapid.SampledFrom([]string{"backendtls.dev/crl", "example.com/other", "Backendtls.dev/pins"}).Draw(t, "odd key"))
	}
	return options
}

func drawValidation(t *rapid.T) gatewayv1.BackendTLSPolicyValidation {
	validation := gatewayv1.BackendTLSPolicyValidation{
		Hostname: gatewayv1.PreciseHostname(rapid.SampledFrom([]string{host, host, host, "10.0.0.1", "", "*.a.b", "A.b"}).Draw(t, "hostname")),
	}
	if wellKnown := rapid.SampledFrom([]string{"System", "backendtls.dev/PinnedOnly", "", "other"}).Draw(t, "well known"); wellKnown != "" {
		validation.WellKnownCACertificates = new(gatewayv1.WellKnownCACertificatesType(wellKnown))
	} else {
		for range rapid.IntRange(0, 2).Draw(t, "references") {
			validation.CACertificateRefs = append(validation.CACertificateRefs, gatewayv1.LocalObjectReference{
				Kind: gatewayv1.Kind(rapid.SampledFrom([]string{"ConfigMap", "Secret", "Other"}).Draw(t, "kind")),
				Name: gatewayv1.ObjectName(rapid.SampledFrom([]string{"ca", "several", "absent", "garbage"}).Draw(t, "name")),
			})
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "names") {
		name := gatewayv1.SubjectAltName{Type: gatewayv1.URISubjectAltNameType, URI: "spiffe://a/b"}
		if rapid.Bool().Draw(t, "dns") {
			name = gatewayv1.SubjectAltName{
				Type:     gatewayv1.HostnameSubjectAltNameType,
				Hostname: gatewayv1.Hostname(rapid.SampledFrom([]string{host, "*.example.com", "1.2.3.4"}).Draw(t, "alt name")),
			}
		}
		validation.SubjectAltNames = append(validation.SubjectAltNames, name)
	}
	return validation
}

// drawStatus draws an entry that may or may not open the gate.
func drawStatus(t *rapid.T) []gatewayv1.PolicyAncestorStatus {
	if !rapid.Bool().Draw(t, "has status") {
		return nil
	}
	reason := rapid.SampledFrom([]report.PolicyReason{
		report.PolicyReasonVerificationSkipped, report.PolicyReasonSANVerificationSkipped,
		report.PolicyReasonExpiredCertificatesAllowed, report.PolicyReasonStrict,
	}).Draw(t, "status")
	condition := report.PolicyDegraded(reason, "drawn")
	condition.LastTransitionTime = metav1.NewTime(noon.Add(-time.Minute))
	if reason == report.PolicyReasonStrict {
		condition.Status = metav1.ConditionFalse
	}
	return []gatewayv1.PolicyAncestorStatus{report.PolicyAncestor(webKey, condition)}
}

func drawParameters(t *rapid.T) *v1alpha1.GatewayParameters {
	parameters := &v1alpha1.GatewayParameters{Name: "lax", Namespace: "default"}
	if !rapid.Bool().Draw(t, "has backendTLS") {
		return parameters
	}
	parameters.Spec.BackendTLS = &v1alpha1.BackendTLS{
		MaxDuration:   new(rapid.SampledFrom([]string{"Unlimited", "Unlimited", "2h", "soon"}).Draw(t, "max")),
		RequireReason: new(rapid.Bool().Draw(t, "require reason")),
	}
	for _, mode := range model.Modes[1:] {
		if rapid.IntRange(0, 3).Draw(t, "allow "+string(mode)) > 0 {
			parameters.Spec.BackendTLS.AllowedModes = append(parameters.Spec.BackendTLS.AllowedModes, v1alpha1.Mode(mode))
		}
	}
	return parameters
}

func drawEnvoys(t *rapid.T) []model.Envoy {
	var envoys []model.Envoy
	for i := range rapid.IntRange(0, 2).Draw(t, "envoys") {
		envoy := model.Envoy{Name: fmt.Sprintf("envoy-%d", i), Connected: rapid.Bool().Draw(t, "connected")}
		if rapid.Bool().Draw(t, "holds") {
			envoy.Held = []model.HeldCluster{{Name: "c", Policy: btls("p0"), Mode: rapid.SampledFrom(model.Modes).Draw(t, "held")}}
		}
		envoys = append(envoys, envoy)
	}
	return envoys
}

func drawWorld(t *rapid.T, base *snapshot.Snapshot) *world {
	snap := *base
	snap.Parameters = snap.Parameters.With(drawParameters(t))
	for i := range rapid.IntRange(1, 3).Draw(t, "policies") {
		policy := &gatewayv1.BackendTLSPolicy{
			Namespace: "default", Name: fmt.Sprintf("p%d", i), Generation: 2,
			CreationTimestamp: metav1.NewTime(noon.Add(time.Duration(rapid.IntRange(-2, 0).Draw(t, "age")) * time.Hour)),
		}
		policy.Spec = gatewayv1.BackendTLSPolicySpec{Validation: drawValidation(t), Options: drawOptions(t)}
		for range rapid.IntRange(1, 2).Draw(t, "targets") {
			ref := gatewayv1.LocalPolicyTargetReferenceWithSectionName{
				Kind: gatewayv1.Kind(rapid.SampledFrom([]string{"Service", "Service", "Service", "Other"}).Draw(t, "target kind")),
				Name: gatewayv1.ObjectName(rapid.SampledFrom([]string{"api", "api", "absent"}).Draw(t, "target")),
			}
			if section := rapid.SampledFrom([]string{"", "https", "admin", "none"}).Draw(t, "section"); section != "" {
				ref.SectionName = new(gatewayv1.SectionName(section))
			}
			policy.Spec.TargetRefs = append(policy.Spec.TargetRefs, ref)
		}
		policy.Status.Ancestors = drawStatus(t)
		snap.TLSPolicies = snap.TLSPolicies.With(policy)
	}
	if rapid.IntRange(0, 5).Draw(t, "fault") == 0 {
		kind := rapid.SampledFrom([]gwapi.Kind{gwapi.KindBackendTLSPolicy, gwapi.KindConfigMap}).Draw(t, "faulty kind")
		name := map[gwapi.Kind]string{gwapi.KindBackendTLSPolicy: "p0", gwapi.KindConfigMap: "ca"}[kind]
		snap.Faults = map[gwapi.Key]string{gwapi.KeyOf(kind, "default", name): "it is drawn"}
	}
	snap.Observed.Envoys = map[gwapi.Key][]model.Envoy{webKey: drawEnvoys(t)}
	return &world{snap: &snap}
}

func TestWhateverIsAskedForTrustKeepsItsAssertions(t *testing.T) {
	base := newWorld(t, permissive).snap
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, base)
		w.t = t
		p, again := w.build(), w.build()
		if difference := cmp.Diff(p.b.reports, again.b.reports); difference != "" {
			rt.Fatalf("two builds differ: %s", difference)
		}
		for _, port := range []string{"https", "admin"} {
			decision := p.at(port)
			checkDecision(rt, w, p, decision)
			if difference := cmp.Diff(decision, again.at(port)); difference != "" {
				rt.Fatalf("two decisions differ: %s", difference)
			}
		}
		checkReports(rt, w, p)
	})
}

func checkDecision(t *rapid.T, w *world, p built, decision tlsDecision) {
	if (decision.FaultReason == "") != (decision.Fault == "") {
		t.Fatalf("fault without reason or reason without fault: %+v", decision)
	}
	if decision.Fault != "" {
		if decision.Trust != nil || decision.Written != nil || decision.Decision != nil && decision.Decision.Trust != nil {
			t.Fatalf("a fault yields trust: %+v", decision)
		}
		return
	}
	if decision.Decision == nil {
		return
	}
	if decision.Trust == nil || decision.Written == nil {
		t.Fatalf("neither trust nor a fault: %+v", decision)
	}
	checkAssertions(t, decision.Trust)
	checkAssertions(t, decision.Written)
	if decision.Written.Mode != model.Standard {
		t.Fatalf("what is written has mode %s", decision.Written.Mode)
	}
	if !decision.Trust.Mode.Insecure() {
		return
	}
	// What follows is what allows an insecure mode at all.
	d := decision.Decision
	policy, _ := w.snap.TLSPolicies.Get(d.Policy.NamespacedName())
	if live := liveEntryOf(policy, webKey); live.degraded() != decision.Trust.Mode {
		t.Fatalf("%s is in force, status names %s", decision.Trust.Mode, live.degraded())
	}
	parameters := w.snap.Parameters.Sorted()[0].Spec.BackendTLS
	if d.State != model.ModeActive || parameters == nil || !strings.Contains(fmt.Sprint(parameters.AllowedModes), string(d.Requested)) {
		t.Fatalf("%s is in force in state %s under %+v", d.Requested, d.State, parameters)
	}
	if noon.Before(d.Since) || !d.Until.IsZero() && !noon.Before(d.Until) {
		t.Fatalf("in force from %s until %s at %s", d.Since, d.Until, noon)
	}
	if got := p.entry(d.Policy, webKey)[report.PolicySecurityDegraded]; got.Status != metav1.ConditionTrue {
		t.Fatalf("in force, but status says %+v", got)
	}
}

func checkReports(t *rapid.T, w *world, p built) {
	for _, object := range w.snap.TLSPolicies.Sorted() {
		key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, object.Namespace, object.Name)
		entry, found := p.b.reports[key]
		if !found || entry.Generation != object.Generation {
			t.Fatalf("%s: report %+v", key, entry)
		}
		for _, ancestor := range entry.Ancestors {
			if len(ancestor.Conditions) != 5 {
				t.Fatalf("%s: %d conditions", key, len(ancestor.Conditions))
			}
			for _, condition := range ancestor.Conditions {
				if condition.Message == "" || condition.Reason == "" || condition.Status == "" {
					t.Fatalf("%s: %+v", key, condition)
				}
			}
		}
		for _, envoy := range w.snap.Observed.Envoys[webKey] {
			for _, held := range envoy.Held {
				degraded := p.entry(key, webKey)[report.PolicySecurityDegraded]
				if held.Policy == key && held.Mode.Insecure() && degraded.Status != metav1.ConditionTrue {
					t.Fatalf("%s: %s holds %s, status says %+v", key, envoy.Name, held.Mode, degraded)
				}
			}
		}
	}
}
