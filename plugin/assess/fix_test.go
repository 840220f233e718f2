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
