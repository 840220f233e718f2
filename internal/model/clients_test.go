package model_test

import (
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
)

func TestAHeaderOfTheClientsCertificateIsOneInEverySpellingThatABackendFolds(t *testing.T) {
	for _, name := range []string{
		"x-forwarded-client-cert", "x-client-cert-verified", "X-Client-Cert-Verified", "x_client_cert_verified",
		"X_FORWARDED-client_cert", "x.client.cert.verified", "x~client!cert*verified", "x-client+cert`verified",
	} {
		if !model.ClientHeader(name) {
			t.Errorf("%q is not taken for one", name)
		}
	}
	for _, name := range []string{
		"", "x", "x-client-cert", "x-client-cert-verified-by", "a-x-client-cert-verified", "xclientcertverified",
		"x--client-cert-verified", "x-forwarded-for", "x-client-cert-verified ",
	} {
		if model.ClientHeader(name) {
			t.Errorf("%q is taken for one", name)
		}
	}
	for letter := range rune(128) {
		name := strings.Replace(model.ClientVerifiedHeader, "-", string(letter), 1)
		alphanumeric := '0' <= letter && letter <= '9' || 'a' <= letter && letter <= 'z' || 'A' <= letter && letter <= 'Z'
		if model.ClientHeader(name) == alphanumeric {
			t.Errorf("%q: %t", name, alphanumeric)
		}
	}
}

func TestAClientValidationsDigestTellsApartWhatIsAsked(t *testing.T) {
	var nobody *model.ClientValidation
	a := &model.ClientValidation{Anchors: [][]byte{{1}}}
	same := &model.ClientValidation{Anchors: [][]byte{{1}}, AnchorsDigest: model.DigestAnchors([][]byte{{1}})}
	looser := &model.ClientValidation{Anchors: [][]byte{{1}}, Fallback: true}
	other := &model.ClientValidation{Anchors: [][]byte{{1}, {2}}}
	if a.Digest() != same.Digest() {
		t.Error("a digest that was computed before changes it")
	}
	seen := map[string]bool{}
	for _, c := range []*model.ClientValidation{nobody, a, looser, other} {
		if seen[c.Digest()] {
			t.Errorf("%+v has the digest of another", c)
		}
		seen[c.Digest()] = true
	}
}
