package resolve

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/report"
)

// namesake is an authority that differs from others in its key alone, and its
// list, PEM.
type namesake struct{ certificate, list string }

func newNamesake(t *testing.T, edits ...func(*x509.Certificate, *crypto.PublicKey)) namesake {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "namesake"}, SubjectKeyId: []byte{1},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	public := key.Public()
	for _, edit := range edits {
		edit(template, &public)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	signer := *template
	signer.PublicKey = key.Public()
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: noon.Add(-time.Hour), NextUpdate: noon.Add(time.Hour),
	}, &signer, key)
	if err != nil {
		t.Fatal(err)
	}
	return namesake{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: crlBlock, Bytes: list})),
	}
}

// authorities makes the ConfigMap ca of the certificates.
func (w *world) authorities(name string, texts ...string) {
	w.snap.ConfigMaps = w.snap.ConfigMaps.With(&corev1.ConfigMap{
		Namespace: "default", Name: name, Data: map[string]string{"ca.crt": strings.Join(texts, "")},
	})
}

// judges builds: the policy is accepted, or refused in these words.
func (w *world) judges(refused string) {
	w.t.Helper()
	p := w.build()
	if refused == "" {
		p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
		return
	}
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid, refused)
	if decision := p.at("https"); decision.Trust != nil {
		w.t.Errorf("decided %+v", decision)
	}
}

// TestSignaturesToVerifyAreFew: thousands of CAs and lists of one name fit into two
// ConfigMaps, and every list may be of every CA.
func TestSignaturesToVerifyAreFew(t *testing.T) {
	giant := func(_ *x509.Certificate, public *crypto.PublicKey) {
		modulus := new(big.Int).Lsh(big.NewInt(1), largestRSA)
		*public = &rsa.PublicKey{N: modulus.SetBit(modulus, 0, 1), E: 65537}
	}
	for _, c := range []struct {
		name string
		many int
		edit func(*x509.Certificate, *crypto.PublicKey)
		// want is what is wrong, "" for nothing.
		want string
	}{
		{"a few of one name", 10, nil, ""},
		{"so many that each list may be of each CA", 25, nil, "too many revocation lists have the name of the CA"},
		{"more CAs than anybody has", mostIssuers + 1, nil, "at most 128 CA certificates"},
		{"a key that takes long", 1, giant, "an RSA key of 8193 bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var certificates, lists []string
			for range c.many {
				edits := []func(*x509.Certificate, *crypto.PublicKey){}
				if c.edit != nil {
					edits = append(edits, c.edit)
				}
				made := newNamesake(t, edits...)
				certificates, lists = append(certificates, made.certificate), append(lists, made.list)
			}
			slices.Reverse(lists)
			w := newWorld(t)
			w.authorities("ca", certificates...)
			w.lists(lists...)
			w.policy("api", withLists)
			w.judges(c.want)
		})
	}
}

// TestAPolicyCarriesOneBundleAtMost: each backend's cluster carries all of it.
func TestAPolicyCarriesOneBundleAtMost(t *testing.T) {
	half := func(value byte) string {
		return newNamesake(t, func(template *x509.Certificate, _ *crypto.PublicKey) {
			filling := make([]byte, mostTrusted/2)
			filling[0] = value
			template.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: filling}}
		}).certificate
	}
	const two = "validation:\n  hostname: api.example.com\n  caCertificateRefs:\n" +
		"  - {group: '', kind: ConfigMap, name: ca}\n  - {group: '', kind: ConfigMap, name: more}\n"
	for _, c := range []struct {
		name, spec, want string
	}{
		{"half of it", byCA, ""},
		{"two halves and what is around them", two, "at most 786432 are taken for one policy"},
		{
			"trusted certificates count", byCA + "  backendtls.dev/trusted-certificates: configmap/more:ca.crt\n",
			"at most 786432 are taken for one policy",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.authorities("ca", half(1))
			w.authorities("more", half(2))
			w.policy("api", c.spec)
			w.judges(c.want)
		})
	}
}

// TestRevocationListsHaveALimitTogether: what one bundle can hold is not refused.
func TestRevocationListsHaveALimitTogether(t *testing.T) {
	for _, c := range []struct {
		size    int
		refused bool
	}{{mostLists, false}, {mostLists + 1, true}} {
		material := trustMaterial{lists: listSet{raw: [][]byte{make([]byte, c.size/2), make([]byte, c.size-c.size/2)}}}
		if err := material.oversize(); (err != nil) != c.refused {
			t.Errorf("%d bytes: %v", c.size, err)
		}
	}
}

// TestALongPrivateKeyIsNotRead: one of RSA that fills a Secret takes minutes to
// check. The largest that is served has room in either form.
func TestALongPrivateKeyIsNotRead(t *testing.T) {
	longest := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: make([]byte, 4700)})
	if len(longest) > mostKeyText {
		t.Errorf("PKCS #8 of the largest key has %d bytes, %d are read", len(longest), mostKeyText)
	}
	for _, kind := range []string{"RSA PRIVATE KEY", "PRIVATE KEY"} {
		_, err := parseKeyPair(&corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{
			corev1.TLSCertKey:       testCertificates().good.PEM(),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: make([]byte, 1<<13)}),
		}})
		if want := fmt.Sprintf("at most %d are read", mostKeyText); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", kind, err, want)
		}
	}
}
