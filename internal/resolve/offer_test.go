package resolve

import (
	"crypto/tls"
	"slices"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

const byCA = `validation: {hostname: api.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}
options:
`

func TestWhatIsOfferedInTheHandshake(t *testing.T) {
	w := newWorld(t)
	w.policy("api", byCA+`  backendtls.dev/max-tls-version: "1.2"
  backendtls.dev/cipher-suites: ECDHE-RSA-AES128-GCM-SHA256
  backendtls.dev/ecdh-curves: P-384, X25519
  backendtls.dev/signature-algorithms: rsa_pss_rsae_sha256
  backendtls.dev/alpn-protocols: http/1.1`)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	trust := p.at("https").Trust
	if trust == nil || trust.MinTLSVersion != 0 || trust.MaxTLSVersion != tls.VersionTLS12 ||
		!slices.Equal(trust.Suites, []string{"ECDHE-RSA-AES128-GCM-SHA256"}) ||
		!slices.Equal(trust.Curves, []string{"P-384", "X25519"}) ||
		!slices.Equal(trust.SignatureAlgorithms, []string{"rsa_pss_rsae_sha256"}) {
		t.Errorf("trust %+v", trust)
	}
}

func TestVersionsThatAreTheDefaultChangeNothing(t *testing.T) {
	w := newWorld(t)
	w.policy("api", byCA+"  {}")
	before := w.build().at("https").Trust
	w.policy("api", byCA+"  backendtls.dev/min-tls-version: \"1.2\"\n  backendtls.dev/max-tls-version: \"1.3\"")
	if after := w.build().at("https").Trust; after.Digest() != before.Digest() {
		t.Errorf("trust %+v, want %+v", after, before)
	}
}

func TestVersionsInContradictionFailClosed(t *testing.T) {
	w := newWorld(t)
	w.policy("api", byCA+"  backendtls.dev/min-tls-version: \"1.3\"\n  backendtls.dev/max-tls-version: \"1.2\"")
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid,
		"backendtls.dev/min-tls-version", "1.3 is above backendtls.dev/max-tls-version, which is 1.2")
	if decision := p.at("https"); decision.Trust != nil {
		t.Errorf("decided %+v", decision)
	}
}

func TestTheHigherOfPolicyAndFloorIsSpoken(t *testing.T) {
	for _, c := range []struct {
		policy, floor string
		want          uint16
	}{
		{"1.2", "1.2", 0},
		{"1.3", "1.2", tls.VersionTLS13},
		{"1.2", "1.3", tls.VersionTLS13},
		{"1.3", "1.3", tls.VersionTLS13},
	} {
		w := withParameters(t, "-", "{minTLSVersion: \""+c.floor+"\"}")
		w.policy("api", byCA+"  backendtls.dev/min-tls-version: \""+c.policy+"\"")
		if trust := w.build().at("https").Trust; trust == nil || trust.MinTLSVersion != c.want {
			t.Errorf("policy %s, floor %s: %+v", c.policy, c.floor, trust)
		}
	}
}

func TestAFloorAboveWhatThePolicyAllowsFailsClosed(t *testing.T) {
	w := withParameters(t, "-", "{minTLSVersion: \"1.3\", allowedModes: [InsecureSkipVerification], maxDuration: Unlimited}")
	for _, mode := range []model.Mode{model.Standard, model.InsecureSkipVerification} {
		w.policy("api", byCA+"  backendtls.dev/max-tls-version: \"1.2\"\n  backendtls.dev/mode: "+string(mode)+
			"\n  backendtls.dev/mode-reason: why")
		p := w.build()
		p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid,
			"backendtls.dev/max-tls-version", "below the floor of gateway/default/web", "minTLSVersion 1.3")
		if decision := p.at("https"); decision.Trust != nil {
			t.Errorf("%s: decided %+v", mode, decision)
		}
	}
}

func TestAProtocolThatIsNotSpokenFailsClosed(t *testing.T) {
	w := newWorld(t)
	w.policy("api", byCA+"  backendtls.dev/alpn-protocols: h2")
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid,
		`"h2" cannot be offered to service/default/api port https, which is spoken to in http/1.1`, "write http/1.1",
		"backendtls.dev/alpn-protocols")
	if decision := p.at("https"); decision.Trust != nil {
		t.Errorf("decided %+v", decision)
	}
}

func TestWhatMayNotBeSpokenIsUnderNoMode(t *testing.T) {
	w := withParameters(t, "-", "{allowedModes: [InsecureSkipVerification], maxDuration: Unlimited}")
	w.policy("api", byCA+"  backendtls.dev/alpn-protocols: http/1.1\n"+
		"  backendtls.dev/mode: InsecureSkipVerification\n  backendtls.dev/mode-reason: why")
	for _, spoken := range []model.BackendProtocol{model.HTTP1, model.HTTP2, model.TCP} {
		reached := w.allReaches()[0]
		reached.Protocol = spoken
		w.reaches = append(w.reaches, reached)
	}
	w.readBack(w.build())
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted, "but not this, which is answered with 500")
	for i, want := range []model.Mode{model.InsecureSkipVerification, "", model.InsecureSkipVerification} {
		decision := p.decide(w.reaches[i])
		if want == "" && (decision.Trust != nil || decision.Written != nil || decision.Decision.State != model.ModeNone) {
			t.Errorf("%s: decided %+v, want nothing", w.reaches[i].Protocol, decision)
		}
		if want != "" && (decision.Trust == nil || decision.Trust.Mode != want || decision.Fault != "") {
			t.Errorf("%s: decided %+v, want the mode", w.reaches[i].Protocol, decision)
		}
	}
}
