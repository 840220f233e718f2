package plugin

import (
	"os"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/test/pki"
)

// TestTheNextKeyIsPinnedBeforeItIsServed gives it as a certificate, a signing
// request and a public key.
func TestTheNextKeyIsPinnedBeforeItIsServed(t *testing.T) {
	key, err := pki.NewKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	request := pki.Request{Name: "next", Key: key, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}
	issued, err := pki.SelfSigned(request)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := request.CSR()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pki.PublicKeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	b := newDesk(t)
	for name, content := range map[string][]byte{"cert.pem": issued.PEM(), "request.pem": signing, "key.pem": public} {
		write(t, name, string(content))
	}
	for _, line := range []string{
		"--and-next cert.pem", "--and-next request.pem", "--and-next key.pem", "--and-next key.pem --and-next cert.pem",
	} {
		code, stdout, stderr := b.run(words("pin svc/api -f desk " + line)...)
		if code != 0 || strings.Count(stdout, "spki-sha256:") != 2 {
			t.Errorf("%s: exit code %d, %s%s", line, code, stdout, stderr)
		}
	}
	code, stdout, stderr := b.run(words("pin svc/api -f desk --form certificate --and-next cert.pem")...)
	if code != 0 || strings.Count(stdout, "cert-sha256:") != 2 {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	secret, err := pki.KeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "secret.pem", string(secret))
	code, _, stderr = b.run(words("pin svc/api -f desk --and-next secret.pem")...)
	if code != 1 || !strings.Contains(stderr, "holds a private key") || strings.Contains(stderr, "BEGIN") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestWhatCountsIsServedForTheNameThatEnvoySends: the endpoints serve another
// certificate for the hostname that a created policy gets.
func TestWhatCountsIsServedForTheNameThatEnvoySends(t *testing.T) {
	b := newDesk(t)
	b.serveByName(map[string]string{"new.default.svc": "good", "": "api"}, "10.1.1.1:8443")
	for line, want := range map[string]string{
		"pin svc/new -f desk":                                      "@spki:good@",
		"pin svc/new -f desk --hostname other.example.com":         "@spki:api@",
		"pin svc/new -f desk --sni other.example.com":              "@spki:api@",
		"pin svc/new -f desk --hostname new.default.svc --sni new": "@spki:api@",
	} {
		code, stdout, stderr := b.run(words(line)...)
		if code != 0 || !strings.Contains(stdout, "backendtls.dev/pins: "+b.filled(want)) {
			t.Errorf("%s: exit code %d\n%s%s", line, code, stdout, stderr)
		}
	}
	// The only name that is served by default leads to another certificate.
	b.serveByName(map[string]string{"api.example.com": "other", "": "api"}, "10.1.1.1:8443")
	code, stdout, stderr := b.run(words("pin svc/new -f desk")...)
	if code != 0 || !strings.Contains(stdout, "backendtls.dev/pins: "+b.filled("@spki:other@")) ||
		!strings.Contains(stdout, "hostname: api.example.com") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestPinsThatDoNotCountYetAreSaidToBeSo: a mode is on.
func TestPinsThatDoNotCountYetAreSaidToBeSo(t *testing.T) {
	b := newDesk(t)
	if code, _, stderr := b.run(words("skip-verify on svc/api --for 1h --reason x --yes --write -f desk")...); code != 0 {
		t.Fatal(stderr)
	}
	code, _, stderr := b.run(words("pin svc/api -f desk")...)
	if code != 0 || !strings.Contains(stderr, "Mode InsecureSkipVerification is asked for: pins do not count") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestAConfigMapOfOursFollowsThePolicy goes from one form to the next, in place.
func TestAConfigMapOfOursFollowsThePolicy(t *testing.T) {
	b := newDesk(t)
	for _, step := range []struct{ line, holds, lacks, says string }{
		{"pin svc/good --form leaf", "leaf.crt: |", "ca.crt", "configmap/good-backendtls"},
		{"pin svc/good", "leaf.crt: |", "ca.crt", "configmap/good-backendtls is not used any more and can be removed"},
		{"pin svc/good --form leaf", "leaf.crt: |", "ca.crt", "configmap/good-backendtls"},
		{"pin svc/good --form ca", "ca.crt: |", "leaf.crt", "configmap/good-backendtls"},
		{"pin svc/good --form leaf", "ca.crt: |", "nothing", "trusted-certificates configmap/good-backendtls:leaf.crt"},
		{"unpin svc/good", "leaf.crt: |", "nothing", "Every endpoint would pass"},
	} {
		code, stdout, stderr := b.run(words(step.line + " --yes --write -f desk")...)
		if code != 0 || !strings.Contains(strings.Join(strings.Fields(stderr), " "), step.says) {
			t.Fatalf("%s: exit code %d: %s%s", step.line, code, stdout, stderr)
		}
		content, err := os.ReadFile("desk/good-backendtls.backendtls.yaml")
		if err != nil || !strings.Contains(string(content), step.holds) || strings.Contains(string(content), step.lacks) {
			t.Errorf("%s: %v\n%s", step.line, err, content)
		}
		if code, _, stderr := b.run("verify", "svc/good", "-f", "desk"); code != 0 {
			t.Errorf("%s: the endpoints do not pass: %s", step.line, stderr)
		}
	}
}

// TestAPinThatGoesIsNamed: the next key may be prepared, and `pin` trusts exactly
// what is served.
func TestAPinThatGoesIsNamed(t *testing.T) {
	b := newDesk(t)
	for line, want := range map[string]string{
		"pin svc/rotate":                    "What no endpoint serves goes: @cert:other@. If that is the next key, keep it with --and-next",
		"pin svc/rotate --form certificate": "What no endpoint serves goes: @cert:other@. If that is the next key, keep it with --and-next",
		"pin svc/good":                      "",
		"pin svc/pinned --replace":          "",
	} {
		code, _, stderr := b.run(words(line + " -f desk")...)
		said := strings.Join(strings.Fields(stderr), " ")
		if code != 0 || !strings.Contains(said, b.filled(want)) || want == "" && strings.Contains(said, "What no endpoint serves") {
			t.Errorf("%s: exit code %d, want %q in\n%s", line, code, b.filled(want), stderr)
		}
	}
}
