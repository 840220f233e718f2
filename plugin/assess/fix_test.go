package assess

import (
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/internal/verify"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
)

// TestNobodyIsToldToPinWhatARevocationListRefuses: Envoy asks the list whatever
// else is trusted, and a key that was taken back is to be replaced.
func TestNobodyIsToldToPinWhatARevocationListRefuses(t *testing.T) {
	port := collect.Port{Policy: &gatewayv1.BackendTLSPolicy{Name: "api"}}
	for reason, want := range map[verify.Reason]string{
		verify.CertificateRevoked: "give the endpoint a new key and a new certificate",
		verify.CRLExpired:         "publish a list of the CA that is valid now in what backendtls.dev/crl names",
		verify.RevocationUnknown:  "add a list of the CA that issued the certificate",
	} {
		fix := new(Assessor).fixFailing(port, []cliv1alpha1.Endpoint{{Result: Fails, Reason: string(reason)}})
		if fix == nil || !strings.Contains(fix.Message, want) || fix.Command != "" || fix.YAML != "" {
			t.Errorf("%s: %+v, want %q and nothing to type", reason, fix, want)
		}
	}
}

// TestAKeyThatIsStillServedStaysPinned: --replace would refuse the endpoints that
// have it.
func TestAKeyThatIsStillServedStaysPinned(t *testing.T) {
	port := collect.Port{Policy: &gatewayv1.BackendTLSPolicy{Name: "api"}}
	changed := cliv1alpha1.Endpoint{Result: Fails, Reason: string(verify.PinMismatch)}
	for _, c := range []struct {
		name      string
		endpoints []cliv1alpha1.Endpoint
		replace   bool
	}{
		{"every endpoint has another key", []cliv1alpha1.Endpoint{changed, changed}, true},
		{"one of them still has it", []cliv1alpha1.Endpoint{{Result: Passes}, changed}, false},
	} {
		a := &Assessor{World: &collect.World{Snapshot: &snapshot.Snapshot{}}}
		fix := a.fixFailing(port, c.endpoints)
		if fix == nil || strings.Contains(fix.Command, " --replace") != c.replace || !strings.Contains(fix.Command, " --write") {
			t.Errorf("%s: %+v", c.name, fix)
		}
	}
}

// TestAPinThatThePatchDropsIsNamed: it may be the next key, which nobody serves yet.
func TestAPinThatThePatchDropsIsNamed(t *testing.T) {
	key := func(last string) string { return "spki-sha256:" + strings.Repeat("A", 42) + last + "=" }
	port := collect.Port{Policy: &gatewayv1.BackendTLSPolicy{
		Name: "api", Spec: gatewayv1.BackendTLSPolicySpec{Options: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{
			"backendtls.dev/pins": gatewayv1.AnnotationValue(key("A") + " " + key("E")),
		}},
	}}
	serves := func(key string) *cliv1alpha1.Certificate { return &cliv1alpha1.Certificate{SPKISHA256: key} }
	passes := cliv1alpha1.Endpoint{Result: Passes, Certificate: serves(key("A"))}
	changed := cliv1alpha1.Endpoint{Result: Fails, Reason: string(verify.PinMismatch), Certificate: serves(key("I"))}
	a := &Assessor{World: &collect.World{Snapshot: &snapshot.Snapshot{}}}
	fix := a.fixFailing(port, []cliv1alpha1.Endpoint{passes, changed})
	if want := "it drops what no endpoint that answered serves, " + key("E") + ": keep a next key with --and-next FILE"; !strings.HasSuffix(fix.Message, want) {
		t.Errorf("%q, want %q at its end", fix.Message, want)
	}
	if strings.Contains(fix.YAML, key("E")) || !strings.Contains(fix.YAML, key("A")) || !strings.Contains(fix.YAML, key("I")) {
		t.Errorf("the patch is not what pin would write:\n%s", fix.YAML)
	}
	fix = a.fixFailing(port, []cliv1alpha1.Endpoint{passes, changed, {Result: Passes, Certificate: serves(key("E"))}})
	if strings.Contains(fix.Message, "drops") {
		t.Errorf("every pin is served, but %q", fix.Message)
	}
}
