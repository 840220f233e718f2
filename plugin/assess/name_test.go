package assess

import (
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/test/pki"
)

// TestADistinguishedNameIsEscapedOnce, as RFC 4514 section 2.4 does it.
func TestADistinguishedNameIsEscapedOnce(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	name := `Acme, "Inc"`
	authority, err := pki.SelfSigned(pki.Request{Name: name, CA: true, NotBefore: from, NotAfter: from.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(pki.Request{Name: "api", NotBefore: from, NotAfter: from.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	a, want := new(Assessor), `"CN=Acme\, \"Inc\""`
	why := a.whyIssuer(leaf.Certificate, []verify.Check{{Kind: verify.KindChain, Outcome: verify.Fail}}, collect.Port{})
	if !strings.Contains(why, "is issued by "+want+":") {
		t.Errorf("%s, want %s", why, want)
	}
	seen := model.Observation{
		Fault: model.FaultHandshake, ClientCertificate: true, ClientAuthorities: []string{authority.Certificate.Subject.String()},
	}
	if advice := a.adviceHandshake(collect.Port{}, seen); !strings.Contains(advice, "a client certificate of "+want+":") {
		t.Errorf("%s, want %s", advice, want)
	}
}
