package pin_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/pki"
)

func request(name string) pki.Request {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return pki.Request{Name: name, DNS: []string{name}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0)}
}

func selfSigned(t *testing.T, r pki.Request) *pki.Identity {
	t.Helper()
	identity, err := pki.SelfSigned(r)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestPinsAreTheHashesThatEnvoyCompares(t *testing.T) {
	cert := selfSigned(t, request("api")).Certificate
	spki, whole := sha256.Sum256(cert.RawSubjectPublicKeyInfo), sha256.Sum256(cert.Raw)
	if got, want := pin.OfKey(cert).Base64(),
		base64.StdEncoding.EncodeToString(spki[:]); got != want || len(got) != 44 {
		t.Errorf("verify_certificate_spki %q, want %q", got, want)
	}
	if got, want := pin.OfCertificate(cert).Hex(), hex.EncodeToString(whole[:]); got != want || len(got) != 64 {
		t.Errorf("verify_certificate_hash %q, want %q", got, want)
	}
}

func TestAKeyPinSurvivesARenewalAndACertificatePinDoesNot(t *testing.T) {
	old := selfSigned(t, request("api"))
	again := request("api")
	again.Key = old.Key
	renewed, stranger := selfSigned(t, again), selfSigned(t, request("api"))
	key, whole := pin.OfKey(old.Certificate), pin.OfCertificate(old.Certificate)
	for name, c := range map[string]struct {
		pins []pin.Pin
		leaf *x509.Certificate
		want bool
	}{
		"the key":                        {[]pin.Pin{key}, old.Certificate, true},
		"the key, renewed":               {[]pin.Pin{key}, renewed.Certificate, true},
		"the certificate":                {[]pin.Pin{whole}, old.Certificate, true},
		"the certificate, renewed":       {[]pin.Pin{whole}, renewed.Certificate, false},
		"another key":                    {[]pin.Pin{key, whole}, stranger.Certificate, false},
		"any of two":                     {[]pin.Pin{pin.OfKey(stranger.Certificate), key}, old.Certificate, true},
		"none":                           {nil, old.Certificate, false},
		"a sum under the wrong kind":     {[]pin.Pin{{Kind: pin.Certificate, Sum: key.Sum}}, old.Certificate, false},
		"a sum under no kind":            {[]pin.Pin{{Sum: key.Sum}}, old.Certificate, false},
		"the zero pin":                   {[]pin.Pin{{}}, old.Certificate, false},
		"a certificate's sum as a key's": {[]pin.Pin{{Kind: pin.SPKI, Sum: whole.Sum}}, old.Certificate, false},
	} {
		matched, ok := pin.MatchAny(c.pins, c.leaf)
		if ok != c.want {
			t.Errorf("%s: matched %v", name, ok)
		}
		if ok && !matched.Matches(c.leaf) {
			t.Errorf("%s: MatchAny and Matches disagree about %s", name, matched)
		}
	}
}

func TestTheNextKeyIsReadFromACertificateARequestOrAKey(t *testing.T) {
	next := selfSigned(t, request("api"))
	r := request("api")
	r.Key = next.Key
	csr, err := r.CSR()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pki.PublicKeyPEM(next.Key)
	if err != nil {
		t.Fatal(err)
	}
	want := pin.OfKey(next.Certificate)
	if got, err := pin.OfPublicKey(next.Key.Public()); err != nil || got != want {
		t.Errorf("of the public key itself: %s, %v", got, err)
	}
	for name, data := range map[string][]byte{
		"certificate": next.PEM(), "certificate with text before it": append([]byte("subject=api\n"), next.PEM()...),
		"request": csr, "public key": public,
	} {
		if got, err := pin.OfPEM(pin.SPKI, data); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if got, err := pin.OfPEM(pin.Certificate, next.PEM()); err != nil || got != pin.OfCertificate(next.Certificate) {
		t.Errorf("the certificate itself: %s, %v", got, err)
	}
	for name, data := range map[string][]byte{"request": csr, "public key": public} {
		if got, err := pin.OfPEM(pin.Certificate, data); err == nil {
			t.Errorf("a certificate pin of a %s: %s", name, got)
		}
	}
}

func TestAnRSAKeyInPKCS1IsTheSameKey(t *testing.T) {
	r := request("api")
	r.KeyType = pki.RSA2048
	identity := selfSigned(t, r)
	public, ok := identity.Key.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatalf("a key of type %T", identity.Key)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)})
	if got, err := pin.OfPEM(pin.SPKI, data); err != nil || got != pin.OfKey(identity.Certificate) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPrivateKeysAreRefusedWithoutRepeatingThem(t *testing.T) {
	identity := selfSigned(t, request("api"))
	private, err := identity.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("not even a key")})
	for name, data := range map[string][]byte{
		"alone": private, "after the certificate": append(identity.PEM(), private...),
		"before it": append(bytes.Clone(private), identity.PEM()...), "of another type": secret,
	} {
		_, err := pin.OfPEM(pin.SPKI, data)
		if err == nil || !strings.Contains(err.Error(), "private key") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), string(private[40:60])) {
			t.Errorf("%s: the error repeats the key: %v", name, err)
		}
	}
}

func TestWhatIsNoSinglePublicThingIsRefused(t *testing.T) {
	identity := selfSigned(t, request("api"))
	block := func(kind string, data []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
	}
	csr, err := request("api").CSR()
	if err != nil {
		t.Fatal(err)
	}
	parsed, _ := pem.Decode(csr)
	forged := bytes.Clone(parsed.Bytes)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":               {nil, "no PEM block"},
		"DER":                   {identity.Certificate.Raw, "no PEM block"},
		"two certificates":      {append(identity.PEM(), identity.PEM()...), "2 PEM blocks, want one"},
		"a garbage certificate": {block("CERTIFICATE", []byte("x")), "parse certificate"},
		"a garbage request":     {block("CERTIFICATE REQUEST", []byte("x")), "parse certificate signing request"},
		"a forged request":      {block("CERTIFICATE REQUEST", forged), "certificate signing request"},
		"a garbage key":         {block("PUBLIC KEY", []byte("x")), "parse public key"},
		"a garbage RSA key":     {block("RSA PUBLIC KEY", []byte("x")), "parse public key"},
		"a revocation list":     {block("X509 CRL", []byte("x")), `PEM block "X509 CRL"`},
	} {
		if got, err := pin.OfPEM(pin.SPKI, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := pin.OfPEM(pin.Kind(9), identity.PEM()); err == nil {
		t.Error("an unknown kind of pin was made")
	}
	if _, err := pin.OfPublicKey("no key"); err == nil {
		t.Error("a string has a public key pin")
	}
}
