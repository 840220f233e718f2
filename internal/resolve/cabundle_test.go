package resolve

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/model"
)

func TestWhatABundleMayHold(t *testing.T) {
	texts := testCertificates().texts
	for name, c := range map[string]struct {
		text string
		want int
		word string
	}{
		"one certificate":                        {texts["CA"], 1, ""},
		"text between, and one of them twice":    {texts["CA_AND_OTHER"], 2, ""},
		"nothing":                                {"", 0, "holds no PEM certificate"},
		"text only":                              {"hello", 0, "holds no PEM certificate"},
		"a block that is not base64":             {texts["HALF"], 0, "1 of 2 PEM blocks cannot be decoded"},
		"a private key beside it":                {texts["KEY"], 0, `PEM block 2: "PRIVATE KEY"`},
		"base64 of something else":               {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0, "PEM block 1: not a certificate"},
		"a block without an end":                 {texts["CA"] + "-----BEGIN CERTIFICATE-----\nMII", 0, "cannot be decoded"},
		"a revocation list":                      {"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", 0, "X509 CRL"},
		"openssl's trusted certificate":          {strings.ReplaceAll(texts["CA"], "CERTIFICATE", "TRUSTED CERTIFICATE"), 0, "TRUSTED CERTIFICATE"},
		"more than an object of a cluster holds": {texts["CA"] + strings.Repeat("#", maxBundle), 0, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			certificates, err := parseCertificates([]byte(c.text))
			if len(certificates) != c.want || (err == nil) != (c.word == "") {
				t.Fatalf("%d certificates, error %v; want %d", len(certificates), err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.word) {
				t.Errorf("the error lacks %q: %v", c.word, err)
			}
		})
	}
}

func FuzzPEM(f *testing.F) {
	for _, text := range testCertificates().texts {
		f.Add([]byte(text))
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nA: b\n\nAAAA\n-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, text []byte) {
		certificates, err := parseCertificates(text)
		if (err == nil) != (len(certificates) > 0) {
			t.Fatalf("%d certificates and error %v", len(certificates), err)
		}
		var again []byte
		for _, certificate := range certificates {
			again = append(again, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
		}
		if err != nil {
			return
		}
		reread, err := parseCertificates(again)
		same := func(a, b *x509.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) }
		if len(again) <= maxBundle && (err != nil || !slices.EqualFunc(certificates, reread, same)) {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

// TestSystemRootsThatChangeAreReadAgain: what was read of them before decides
// nothing, whatever it was.
func TestSystemRootsThatChangeAreReadAgain(t *testing.T) {
	w := newWorld(t)
	w.policy("api", trustSpec("System", model.Standard))
	for _, name := range []string{"CA", "CA", "OTHER", "HALF", "OTHER", "CA_AND_OTHER", "KEY", "CA"} {
		text := testCertificates().texts[name]
		roots := &corev1.ConfigMap{Namespace: systemNamespace, Name: systemName, Data: map[string]string{caKey: text}}
		w.snap.ConfigMaps = w.snap.ConfigMaps.With(roots)
		want, err := parseCertificates([]byte(text))
		trust := w.build().at("https").Trust
		if err != nil {
			if trust != nil {
				t.Errorf("%s: trust in what cannot be read", name)
			}
			continue
		}
		if trust == nil || !slices.EqualFunc(trust.Anchors, rawCertificates(want), bytes.Equal) {
			t.Errorf("%s: other anchors than those of the text: %+v", name, trust)
		}
	}
}
