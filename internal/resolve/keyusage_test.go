package resolve

import (
	"crypto/x509"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/test/pki"
)

// TestACertificateThatMayNotSignAHandshakeIsNotGivenToEnvoy: Envoy 1.40 refuses
// the whole cluster or listener with "Failed to load certificate chain".
func TestACertificateThatMayNotSignAHandshakeIsNotGivenToEnvoy(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*pki.Request)
		want string
	}{
		"of a server":             {func(*pki.Request) {}, ""},
		"without key usage":       {func(r *pki.Request) { r.NoKeyUsage = true }, ""},
		"of an authority":         {func(r *pki.Request) { r.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign }, "digitalSignature"},
		"for key agreement alone": {func(r *pki.Request) { r.KeyUsage = x509.KeyUsageKeyAgreement }, "digitalSignature"},
		"of RSA for encipherment": {func(r *pki.Request) { r.KeyType, r.KeyUsage = pki.RSA2048, x509.KeyUsageKeyEncipherment }, ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			request := pki.Request{Name: "envoy", NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
			c.edit(&request)
			identity, err := pki.SelfSigned(request)
			if err != nil {
				t.Fatal(err)
			}
			key, err := identity.KeyPEM()
			if err != nil {
				t.Fatal(err)
			}
			_, err = parseKeyPair(&corev1.Secret{
				Type: corev1.SecretTypeTLS,
				Data: map[string][]byte{corev1.TLSCertKey: identity.PEM(), corev1.TLSPrivateKeyKey: key},
			})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
