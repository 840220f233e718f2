package verify_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

func TestAConnectionBelowTheFloorIsRefused(t *testing.T) {
	w := world{t: t, now: now}
	root := w.authority("root")
	trust := anchored(root)
	trust.MinTLSVersion = tls.VersionTLS13
	seen := model.Observation{
		Chain: w.leaf(root).DER(), TLSVersion: tls.VersionTLS12,
		CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	}
	if checks := verify.Observed(seen, &trust, now); verify.Verdict(checks) != verify.Unreachable ||
		!strings.Contains(checks[0].Message, "TLS 1.3 at least") {
		t.Errorf("over TLS 1.2 the checks are %+v", checks)
	}
	seen.TLSVersion = tls.VersionTLS13
	if checks := verify.Observed(seen, &trust, now); !verify.Accepts(checks) {
		t.Errorf("over TLS 1.3 the checks are %+v", checks)
	}
}

func TestAnObservationIsJudgedByItsConnectionToo(t *testing.T) {
	w := world{t: t, now: now}
	root := w.authority("root")
	small, large := w.leaf(root).DER(), w.leaf(root, key(pki.P384)).DER()
	const suite = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for _, c := range []struct {
		name string
		seen model.Observation
		want verify.Reason
		says string
	}{
		{"TLS 1.3", model.Observation{Chain: small, TLSVersion: tls.VersionTLS13}, verify.Verified, "over TLS 1.3"},
		{
			"TLS 1.2",
			model.Observation{Chain: small, TLSVersion: tls.VersionTLS12, CipherSuite: suite},
			verify.Verified, "over TLS 1.2",
		},
		{
			"TLS 1.1 is too old",
			model.Observation{Chain: small, TLSVersion: tls.VersionTLS11},
			verify.Unreachable, "TLS 1.1 at most",
		},
		{"P-384 over TLS 1.3", model.Observation{Chain: large, TLSVersion: tls.VersionTLS13}, verify.Verified, "P-384"},
		{
			"P-384 over TLS 1.2",
			model.Observation{Chain: large, TLSVersion: tls.VersionTLS12, CipherSuite: suite},
			verify.CertificateMismatch, "P-384",
		},
		{
			"a suite that Envoy does not offer",
			model.Observation{
				Chain: small, TLSVersion: tls.VersionTLS12,
				CipherSuite: tls.TLS_RSA_WITH_AES_128_CBC_SHA,
			},
			verify.Verified, "0x002f",
		},
		{
			"a client certificate may be missing",
			model.Observation{Chain: small, TLSVersion: tls.VersionTLS13, ClientCertificate: true},
			verify.Verified, "asks for a client certificate",
		},
		{
			"a client certificate is required",
			model.Observation{
				Chain: small, ClientCertificate: true, Fault: model.FaultHandshake,
				Err: "tls: certificate required",
			},
			verify.Unreachable, `"tls: certificate required"`,
		},
		{
			"a handshake that failed late",
			model.Observation{Chain: small, Fault: model.FaultHandshake, Err: "x\x1b"},
			verify.Unreachable, `"x\x1b"`,
		},
		{
			"nobody there",
			model.Observation{Fault: model.FaultUnreachable, Err: "refused"},
			verify.Unreachable,
			"refused",
		},
		{"silence", model.Observation{Fault: model.FaultTimeout}, verify.Unreachable, "silent"},
		{"plaintext", model.Observation{Fault: model.FaultPlaintext, Err: "HTTP/1.1"}, verify.NotTLS, "not TLS"},
		{"a greeter", model.Observation{Fault: model.FaultStartTLS, Err: "220"}, verify.NotTLS, "plaintext"},
		{
			"a failed handshake",
			model.Observation{Fault: model.FaultHandshake, Err: "alert"},
			verify.Unreachable, "alert",
		},
		{
			"an unparsable certificate",
			model.Observation{Fault: model.FaultUnparsable},
			verify.CertificateMismatch, "parsed",
		},
		{"an unknown fault", model.Observation{Fault: "Odd"}, verify.Unreachable, "Odd"},
		{"no chain and no fault", model.Observation{}, verify.CertificateMismatch, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			trust := anchored(root)
			checks := verify.Observed(c.seen, &trust, now)
			outcomes(t, checks)
			if got := verify.Verdict(checks); got != c.want {
				t.Errorf("verdict %s, want %s: %+v", got, c.want, checks)
			}
			if !strings.Contains(checks[0].Message, c.says) {
				t.Errorf("message %q lacks %q", checks[0].Message, c.says)
			}
		})
	}
}

func TestAnUnverifiedEndpointMustStillBeReachable(t *testing.T) {
	trust := skipAll()
	if verify.Accepts(verify.Observed(model.Observation{Fault: model.FaultPlaintext}, &trust, now)) {
		t.Error("plaintext was accepted because verification is off")
	}
}

func TestWhetherEnvoysClientCertificateIsAcceptedIsUnknown(t *testing.T) {
	w := world{t: t, now: now}
	root := w.authority("root")
	trust := anchored(root)
	trust.Identity = &model.KeyPair{Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "client")}
	seen := model.Observation{
		Chain: w.leaf(root).DER(), ClientCertificate: true, Fault: model.FaultHandshake, Err: "tls: certificate required",
	}
	checks := verify.Observed(seen, &trust, now)
	if checks[0].Outcome != verify.NotChecked || !strings.Contains(checks[0].Message, "secret/default/client") {
		t.Errorf("the handshake is %+v", checks[0])
	}
	if !verify.Accepts(checks) {
		t.Errorf("the certificate itself is not judged: %+v", checks)
	}
}
