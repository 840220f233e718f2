package verify_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

func TestWhatIsOfferedDecidesWhichKeysCanBeUsed(t *testing.T) {
	w := world{t: t, now: now}
	root := w.authority("root")
	offering := func(edit func(*model.Trust)) model.Trust {
		trust := anchored(root)
		edit(&trust)
		return trust
	}
	algorithms := func(names ...string) func(*model.Trust) {
		return func(t *model.Trust) { t.SignatureAlgorithms = names }
	}
	most12 := func(t *model.Trust) { t.MaxTLSVersion = tls.VersionTLS12 }
	for _, c := range []struct {
		name  string
		kind  pki.KeyType
		trust model.Trust
		want  verify.Reason
		says  string
	}{
		{"Ed25519 that is offered", pki.Ed25519, offering(algorithms("ed25519")), verify.Verified, "Ed25519"},
		{"RSA where Ed25519 alone is", pki.RSA2048, offering(algorithms("ed25519")), verify.CertificateMismatch, "none is for it"},
		{"P-521 that is offered", pki.P521, offering(algorithms("ecdsa_secp521r1_sha512")), verify.Verified, "over TLS 1.3 only"},
		{"P-256 where P-521 alone is", pki.P256, offering(algorithms("ecdsa_secp521r1_sha512")), verify.Verified, "over TLS 1.2 only"},
		{"RSA by PKCS #1 alone", pki.RSA2048, offering(algorithms("rsa_pkcs1_sha256")), verify.Verified, "over TLS 1.2 only"},
		{"RSA 1024 by PSS with SHA-512", pki.RSA1024, offering(algorithms("rsa_pss_rsae_sha512")), verify.CertificateMismatch, "none is for it"},
		{"RSA 2048 by PSS with SHA-512", pki.RSA2048, offering(algorithms("rsa_pss_rsae_sha512")), verify.Verified, "RSA 2048"},
		{"P-384 over TLS 1.2 alone", pki.P384, offering(most12), verify.CertificateMismatch, "P-384"},
		{
			"P-384 over TLS 1.2 with its curve", pki.P384,
			offering(func(t *model.Trust) { most12(t); t.Curves = []string{"P-384"} }), verify.Verified, "P-384",
		},
		{
			"P-256 over TLS 1.2 without its curve", pki.P256,
			offering(func(t *model.Trust) { most12(t); t.Curves = []string{"X25519"} }), verify.CertificateMismatch, "X25519",
		},
		{
			"RSA with suites for ECDSA", pki.RSA2048,
			offering(func(t *model.Trust) { most12(t); t.Suites = []string{"ECDHE-ECDSA-AES128-GCM-SHA256"} }),
			verify.CertificateMismatch, "cipher suites",
		},
		{
			"RSA with suites for ECDSA, which TLS 1.3 does not ask for", pki.RSA2048,
			offering(func(t *model.Trust) { t.Suites = []string{"ECDHE-ECDSA-AES128-GCM-SHA256"} }),
			verify.Verified, "over TLS 1.3 only",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			checks := verify.Verify(w.leaf(root, key(c.kind)).DER(), &c.trust, now)
			if got := verify.Verdict(checks); got != c.want || !strings.Contains(checks[0].Message, c.says) {
				t.Errorf("verdict %s, want %s with %q: %s", got, c.want, c.says, checks[0].Message)
			}
		})
	}
}

func TestWhatTheEndpointChoseIsHeldAgainstTheOffer(t *testing.T) {
	w := world{t: t, now: now}
	root := w.authority("root")
	leaf := w.leaf(root)
	trust := anchored(root)
	trust.Suites = []string{"ECDHE-ECDSA-AES256-GCM-SHA384"}
	seen := model.Observation{
		Chain: leaf.DER(), TLSVersion: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	}
	if checks := verify.Observed(seen, &trust, now); checks[0].Outcome != verify.NotChecked {
		t.Errorf("a suite that is not offered: %+v", checks[0])
	}
	seen.CipherSuite = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	if checks := verify.Observed(seen, &trust, now); checks[0].Outcome != verify.Pass {
		t.Errorf("the suite that is offered: %+v", checks[0])
	}
	trust.MaxTLSVersion = tls.VersionTLS12
	seen.TLSVersion = tls.VersionTLS13
	if checks := verify.Observed(seen, &trust, now); checks[0].Outcome != verify.NotChecked || !verify.Accepts(checks) {
		t.Errorf("a version above the offer: %+v", checks[0])
	}
}
