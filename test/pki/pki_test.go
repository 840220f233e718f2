package pki_test

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/backendtls/backendtls/test/pki"
)

var (
	from = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to   = from.AddDate(1, 0, 0)
)

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestALeafUnderAnIntermediateVerifiesAgainstTheRoot(t *testing.T) {
	identity := must[*pki.Identity](t)
	root := identity(pki.SelfSigned(pki.Request{Name: "root", CA: true, NotBefore: from, NotAfter: to}))
	middle := identity(root.Issue(pki.Request{Name: "middle", CA: true, NotBefore: from, NotAfter: to}))
	leaf := identity(middle.Issue(pki.Request{
		Name: "leaf", NotBefore: from, NotAfter: to,
		DNS:  []string{"api.example.com"},
		URIs: []string{"spiffe://example.com/api"},
		IPs:  []netip.Addr{netip.MustParseAddr("127.0.0.1")},
	}))
	if got := len(leaf.DER()); got != 2 {
		t.Fatalf("the server presents %d certificates, want the leaf and the intermediate", got)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root.PEM())
	intermediates.AppendCertsFromPEM(leaf.ChainPEM())
	for _, name := range []string{"api.example.com", "127.0.0.1"} {
		_, err := leaf.Certificate.Verify(x509.VerifyOptions{
			DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: from.Add(time.Hour),
		})
		if err != nil {
			t.Errorf("name %s: %v", name, err)
		}
	}
	if got := leaf.Certificate.URIs[0].String(); got != "spiffe://example.com/api" {
		t.Errorf("URI %q", got)
	}
	if _, err := tls.X509KeyPair(leaf.ChainPEM(), must[[]byte](t)(leaf.KeyPEM())); err != nil {
		t.Errorf("the PEM forms make no key pair: %v", err)
	}
	if pair := leaf.TLS(); len(pair.Certificate) != 2 || pair.PrivateKey != leaf.Key {
		t.Errorf("the crypto/tls form lacks the chain or the key: %+v", pair)
	}
}

func TestARenewalKeepsTheKey(t *testing.T) {
	identity := must[*pki.Identity](t)
	for _, kind := range []pki.KeyType{
		pki.P256, pki.P384, pki.P521, pki.RSA1024, pki.RSA2048, pki.RSA3072,
		pki.Ed25519,
	} {
		old := identity(pki.SelfSigned(pki.Request{Name: "api", KeyType: kind, NotBefore: from, NotAfter: to}))
		renewed := identity(pki.SelfSigned(pki.Request{
			Name: "api", Key: old.Key, NotBefore: to,
			NotAfter: to.AddDate(1, 0, 0),
		}))
		if string(old.Certificate.RawSubjectPublicKeyInfo) != string(renewed.Certificate.RawSubjectPublicKeyInfo) {
			t.Errorf("key type %d: another key", kind)
		}
		if old.Certificate.Equal(renewed.Certificate) {
			t.Errorf("key type %d: the same certificate", kind)
		}
	}
}

func TestWrongCertificatesAreMadeAsAsked(t *testing.T) {
	identity := must[*pki.Identity](t)
	zero := 0
	odd := identity(pki.SelfSigned(pki.Request{
		Name: "odd", NotBefore: from, NotAfter: to, CA: true, PathLength: &zero, Serial: 7,
		KeyUsage: x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		PermittedDNS: []string{"example.com"}, ExcludedDNS: []string{"bad.example.com"},
	})).Certificate
	if !odd.IsCA || !odd.MaxPathLenZero || odd.SerialNumber.Int64() != 7 ||
		odd.KeyUsage != x509.KeyUsageKeyEncipherment || odd.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth ||
		len(odd.PermittedDNSDomains)+len(odd.ExcludedDNSDomains) != 2 {
		t.Errorf("not as asked: %+v", odd)
	}
	bare := identity(pki.SelfSigned(pki.Request{
		Name: "bare", NotBefore: from, NotAfter: to, NoKeyUsage: true, NoExtKeyUsage: true, NoBasicConstraints: true,
	})).Certificate
	if bare.KeyUsage != 0 || bare.ExtKeyUsage != nil || bare.BasicConstraintsValid {
		t.Errorf("extensions where none were asked for: %+v", bare)
	}
}

func TestAKeyThatNobodyHoldsCanBeCertified(t *testing.T) {
	identity := must[*pki.Identity](t)
	modulus := new(big.Int).SetBit(big.NewInt(1), 16383, 1)
	root := identity(pki.SelfSigned(pki.Request{Name: "root", CA: true, NotBefore: from, NotAfter: to}))
	leaf := identity(root.Issue(pki.Request{
		Name: "huge", NotBefore: from, NotAfter: to, PublicKey: &rsa.PublicKey{N: modulus, E: 65537},
	}))
	if key, ok := leaf.Certificate.PublicKey.(*rsa.PublicKey); !ok || key.N.Cmp(modulus) != 0 {
		t.Errorf("public key %v", leaf.Certificate.PublicKey)
	}
	if _, err := leaf.KeyPEM(); err == nil {
		t.Error("a private key came out of nowhere")
	}
	if _, err := pki.SelfSigned(pki.Request{PublicKey: &rsa.PublicKey{}}); err == nil {
		t.Error("a certificate signed itself without its private key")
	}
}

func TestASigningRequestAndAPublicKeyNameTheSameKey(t *testing.T) {
	signer, err := pki.NewKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	public := decode(t, must[[]byte](t)(pki.PublicKeyPEM(signer)))
	request := decode(t, must[[]byte](t)(pki.Request{Name: "next", DNS: []string{"api"}, Key: signer}.CSR()))
	parsed := must[*x509.CertificateRequest](t)(x509.ParseCertificateRequest(request.Bytes))
	if err := parsed.CheckSignature(); err != nil {
		t.Error(err)
	}
	if string(parsed.RawSubjectPublicKeyInfo) != string(public.Bytes) {
		t.Error("the request is for another key")
	}
}

func TestFaultsAreErrors(t *testing.T) {
	if _, err := pki.SelfSigned(pki.Request{KeyType: 99}); err == nil {
		t.Error("an unknown key type was accepted")
	}
	if _, err := pki.SelfSigned(pki.Request{URIs: []string{"%zz"}, NotBefore: from, NotAfter: to}); err == nil {
		t.Error("a URI that does not parse was accepted")
	}
	if _, err := (pki.Request{KeyType: 99}).CSR(); err == nil {
		t.Error("a signing request without a key was made")
	}
}

func decode(t *testing.T, data []byte) *pem.Block {
	t.Helper()
	block, rest := pem.Decode(data)
	if block == nil || len(rest) != 0 {
		t.Fatalf("not one PEM block: %q", data)
	}
	return block
}
