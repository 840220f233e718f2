package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

// specText writes a value back as the YAML that world.policy reads.
func specText(t *testing.T, spec any) string {
	t.Helper()
	text, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsWrongAnswers500AndSaysWhy(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "tlspolicy", "refused.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name               string
		Spec               map[string]any
		Accepted, Resolved string
		Words              []string
	}
	if err := yaml.UnmarshalStrict(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			w := newWorld(t, permissive)
			w.policy("api", specText(t, c.Spec))
			p := w.build()
			resolved := report.PolicyReasonResolvedRefs
			if c.Resolved != "" {
				resolved = report.PolicyReason(c.Resolved)
			}
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReason(c.Accepted), c.Words...)
			p.expect(policyKey, report.PolicyResolvedRefs, resolved)
			p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonFailClosed)
			decision := p.at("https")
			if decision.Trust != nil || decision.FaultReason != c.Accepted ||
				!strings.Contains(decision.Fault, "backendtlspolicy/default/api") {
				t.Errorf("decided %+v", decision)
			}
			if decision.RouteReason != "" {
				t.Errorf("the route's reason is %s, want none", decision.RouteReason)
			}
		})
	}
}

func TestAllFiveConditionsAreAlwaysThere(t *testing.T) {
	for _, spec := range []string{
		"validation: {hostname: api.example.com, wellKnownCACertificates: System}",
		"validation: {hostname: 10.0.0.1, wellKnownCACertificates: System}",
		trustSpec("CA", model.InsecureSkipVerification),
	} {
		w := newWorld(t)
		w.policy("api", spec)
		entry := w.build().entry(policyKey, webKey)
		for _, kind := range []string{
			report.PolicyAccepted, report.PolicyResolvedRefs, report.Programmed,
			report.PolicySecurityDegraded, report.PolicyBackendsVerified,
		} {
			if condition, found := entry[kind]; !found || condition.Message == "" || condition.Reason == "" {
				t.Errorf("%s in %s: %+v", kind, spec, condition)
			}
		}
		if len(entry) != 5 || entry[report.PolicyBackendsVerified].Reason != string(report.PolicyReasonNotProbed) {
			t.Errorf("entry %+v", entry)
		}
	}
}

func TestSomeInvalidReferencesLeaveTheOthersInUse(t *testing.T) {
	w := newWorld(t)
	w.policy("api", `validation:
  hostname: api.example.com
  caCertificateRefs:
  - {group: "", kind: ConfigMap, name: absent}
  - {group: "", kind: Secret, name: ca}
  - {group: certificates.k8s.io, kind: ClusterTrustBundle, name: ca}
  - {group: "", kind: ConfigMap, name: several}`)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonInvalidCACertificateRef,
		"caCertificateRefs[0]", "caCertificateRefs[2]", "in use are", "secret/default/ca", "configmap/default/several")
	if trust := p.at("https").Trust; trust == nil || len(trust.Anchors) != 2 {
		t.Errorf("trust %+v, want the two authorities, each once", trust)
	}
}

func TestSomeInvalidTrustedCertificatesOnlyNarrowTrust(t *testing.T) {
	w := newWorld(t)
	w.policy("api", `validation: {hostname: api.example.com, wellKnownCACertificates: backendtls.dev/PinnedOnly}
options: {backendtls.dev/trusted-certificates: "configmap/absent, secret/ca"}`)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonInvalidTrustedCertificateRef,
		"configmap/default/absent does not exist", "in use are secret/default/ca key tls.crt")
	if trust := p.at("https").Trust; trust == nil || len(trust.Leaves) != 1 {
		t.Errorf("trust %+v, want the one leaf", trust)
	}
}

func TestTrustedCertificatesThatEnvoyCannotTellApartAreNamed(t *testing.T) {
	request := pki.Request{
		Name: "same", CA: true, DNS: []string{host},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
	}
	var texts []string
	for range 2 {
		identity, err := pki.SelfSigned(request)
		if err != nil {
			t.Fatal(err)
		}
		request.Key = identity.Key
		texts = append(texts, string(identity.PEM()))
	}
	w := newWorld(t)
	w.snap.ConfigMaps = w.snap.ConfigMaps.With(&corev1.ConfigMap{
		Namespace: "default", Name: "twins", Data: map[string]string{"tls.crt": strings.Join(texts, "")},
	})
	w.policy("api", `validation: {hostname: api.example.com, wellKnownCACertificates: backendtls.dev/PinnedOnly}
options: {backendtls.dev/trusted-certificates: configmap/twins}`)
	p := w.build()
	want := len(verify.Shadowed(p.at("https").Trust.Anchors))
	if want == 0 {
		t.Fatal("the certificates of this test can be told apart")
	}
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted,
		fmt.Sprintf("Envoy refuses %d of backendtls.dev/trusted-certificates", want), "backendtls.dev/pins")
}

func TestSubjectAltNamesReplaceTheHostname(t *testing.T) {
	w := newWorld(t)
	w.policy("api", `validation:
  hostname: sni.example.com
  wellKnownCACertificates: System
  subjectAltNames:
  - {type: URI, uri: "spiffe://example.com/api"}
  - {type: Hostname, hostname: "*.example.com"}
  - {type: Hostname, hostname: a.example.com}`)
	p := w.build()
	trust := p.at("https").Trust
	want := []model.Name{
		{Kind: model.DNS, Value: "*.example.com"},
		{Kind: model.DNS, Value: "a.example.com"},
		{Kind: model.URI, Value: "spiffe://example.com/api"},
	}
	if trust == nil || trust.SNI != "sni.example.com" || len(trust.Names) != 3 ||
		trust.Names[0] != want[0] || trust.Names[1] != want[1] || trust.Names[2] != want[2] {
		t.Errorf("trust %+v, want names %v", trust, want)
	}
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted, "subjectAltNames[1]", "*.example.com itself")
}

func TestTheSystemRootsAreOneConfigMap(t *testing.T) {
	w := newWorld(t)
	w.policy("api", "validation: {hostname: api.example.com, wellKnownCACertificates: System}")
	w.build().expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonResolvedRefs,
		"configmap/backendtls-system/system-roots", "sha256:")

	roots := gwapi.KeyOf(gwapi.KindConfigMap, "backendtls-system", "system-roots")
	w.snap.ConfigMaps = w.snap.ConfigMaps.Without(roots.NamespacedName())
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonNoValidCACertificate, roots.String())
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonInvalidCACertificateRef)
	if p.at("https").Trust != nil {
		t.Error("trust without roots")
	}
	if gateways := p.b.refs[roots]; len(gateways) == 0 {
		t.Error("the missing ConfigMap is not in the references: its creation would go unnoticed")
	}
}

func TestAFaultInWhatAPolicyDependsOnFailsClosed(t *testing.T) {
	const sentence = "it is in a.yaml line 3 and b.yaml line 9"
	for _, c := range []struct {
		object   gwapi.Key
		accepted report.PolicyReason
	}{
		{policyKey, report.PolicyReasonInvalid},
		{gwapi.KeyOf(gwapi.KindConfigMap, "default", "ca"), report.PolicyReasonNoValidCACertificate},
	} {
		w := newWorld(t)
		w.policy("api", trustSpec("CA", model.Standard))
		w.snap.Faults = map[gwapi.Key]string{c.object: sentence}
		p := w.build()
		p.expect(policyKey, report.PolicyAccepted, c.accepted, sentence)
		if p.entry(policyKey, webKey)[report.PolicyResolvedRefs].Status == "True" {
			t.Errorf("%s: ResolvedRefs is True", c.object)
		}
		if decision := p.at("https"); decision.Trust != nil || !strings.Contains(decision.Fault, sentence) {
			t.Errorf("%s: decided %+v", c.object, decision)
		}
	}
}

func TestAPolicyOfUnknownTargetsLeavesNothingInPlaintext(t *testing.T) {
	w := newWorld(t)
	broken := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "broken")
	w.snap.Faults = map[gwapi.Key]string{broken: "spec.targetRefs: required"}
	if decision := w.build().at("https"); decision.FaultReason != "Invalid" ||
		!strings.Contains(decision.Fault, broken.String()) {
		t.Errorf("decided %+v", decision)
	}
	w.policy("api", trustSpec("CA", model.Standard))
	if decision := w.build().at("https"); decision.Trust == nil {
		t.Errorf("a port with a policy of its own is affected: %s", decision.Fault)
	}
}

func TestANameThatNoServiceCanHaveLeavesNothingInPlaintext(t *testing.T) {
	const validation = "\nvalidation: {hostname: api.example.com, wellKnownCACertificates: System}"
	for _, name := range []string{"Api", "api.default", "api_v1", "-api", strings.Repeat("a", 64)} {
		w := newWorld(t, otherService)
		w.policy("slip", `targetRefs: [{group: "", kind: Service, name: `+name+`}]`+validation)
		p := w.build()
		if decision := p.at("https"); decision.FaultReason != "Invalid" ||
			!strings.Contains(decision.Fault, "backendtlspolicy/default/slip") ||
			!strings.Contains(decision.Fault, "spec.targetRefs[0].name: \""+name+"\" cannot be the name of a Service") {
			t.Errorf("%s: decided %+v", name, decision)
		}
		w.policy("slip", `targetRefs: [{group: "", kind: Service, name: other}, {group: "", kind: Service, name: `+name+`}]`+
			validation)
		p = w.build()
		if decision := p.at("https"); decision.FaultReason != "Invalid" {
			t.Errorf("%s beside another target: decided %+v", name, decision)
		}
		p.expect(gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "slip"), report.PolicyAccepted,
			report.PolicyReasonTargetNotFound, `spec.targetRefs[1].name: "`+name+`" cannot be the name of a Service`)
		w.policy("api", strings.TrimPrefix(validation, "\n"))
		if decision := w.build().at("https"); decision.Trust == nil {
			t.Errorf("%s: a port with a policy of its own is affected: %s", name, decision.Fault)
		}
	}
}

func TestWhatCouldNotBeReadIsUnknown(t *testing.T) {
	w := newWorld(t)
	w.policy("api", `validation: {hostname: api.example.com, caCertificateRefs: [{group: "", kind: Secret, name: hidden}]}`)
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindSecret}: "secrets are not read here"}
	p := w.build()
	for _, kind := range []string{report.PolicyAccepted, report.PolicyResolvedRefs} {
		p.expect(policyKey, kind, report.PolicyReasonUnseen, "secret/default/hidden", "secrets are not read here")
		if status := p.entry(policyKey, webKey)[kind].Status; status != "Unknown" {
			t.Errorf("%s is %s, want Unknown", kind, status)
		}
	}
	w = newWorld(t)
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindBackendTLSPolicy, Namespace: "default"}: "forbidden"}
	if decision := w.build().at("https"); decision.FaultReason != string(report.PolicyReasonUnseen) {
		t.Errorf("without sight of policies plaintext is claimed: %+v", decision)
	}
}

func TestAPortThatPromisesTLSIsNeverSpokenToInPlaintext(t *testing.T) {
	service := func(appProtocol string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: default}\n" +
			"spec: {ports: [{name: https, port: 443, appProtocol: " + appProtocol + "}]}"
	}
	for _, appProtocol := range []string{"https", "HTTPS", "kubernetes.io/wss", "Kubernetes.io/WSS"} {
		w := newWorld(t, service(appProtocol))
		decision := w.build().at("https")
		if decision.RouteReason != "UnsupportedProtocol" || decision.Trust != nil ||
			!strings.Contains(decision.Fault, "no BackendTLSPolicy") || !strings.Contains(decision.Fault, appProtocol) {
			t.Errorf("%s without a policy: %+v", appProtocol, decision)
		}
		w.policy("api", "validation: {hostname: 10.0.0.1, wellKnownCACertificates: System}")
		decision = w.build().at("https")
		if decision.RouteReason != "UnsupportedProtocol" || !strings.Contains(decision.Fault, policyKey.String()) {
			t.Errorf("%s with a refused policy: %+v", appProtocol, decision)
		}
		w.policy("api", trustSpec("CA", model.Standard))
		if decision = w.build().at("https"); decision.Trust == nil || decision.FaultReason != "" {
			t.Errorf("%s with a policy: %+v", appProtocol, decision)
		}
	}
	for _, appProtocol := range []string{"http", "kubernetes.io/ws", "kubernetes.io/h2c"} {
		decision := newWorld(t, service(appProtocol)).build().at("https")
		if decision.FaultReason != "" || decision.Trust != nil || decision.Decision != nil {
			t.Errorf("%s without a policy: %+v, want plaintext", appProtocol, decision)
		}
	}
}

func TestTheBackendIsOfferedTheProtocolThatIsSpoken(t *testing.T) {
	w := newWorld(t, "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: default}\n"+
		"spec: {ports: [{name: one, port: 1}, {name: two, port: 2, appProtocol: kubernetes.io/h2c}]}")
	w.policy("api", trustSpec("CA", model.Standard))
	p := w.build()
	if one, two := p.at("one").Trust.ALPN, p.at("two").Trust.ALPN; one[0] != "http/1.1" || two[0] != "h2" {
		t.Errorf("offered %v and %v", one, two)
	}
	if p.at("one").Trust.Digest() == p.at("two").Trust.Digest() {
		t.Error("two protocols have one digest")
	}
}
