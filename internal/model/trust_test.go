package model_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

func trust(edits ...func(*model.Trust)) model.Trust {
	made := model.Trust{
		Policy:  gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api"),
		Mode:    model.Standard,
		SNI:     "api.example.com",
		Anchors: [][]byte{[]byte("ab"), []byte("c")},
		Names:   []model.Name{{Kind: model.DNS, Value: "api.example.com"}},
	}
	for _, edit := range edits {
		edit(&made)
	}
	return made
}

func TestTheNameOfABackendCoversItsTrust(t *testing.T) {
	name := func(trust model.Trust) string {
		return model.Backend{
			Service: gwapi.KeyOf(gwapi.KindService, "default", "api"), Port: 443, Protocol: model.HTTP1, Trust: &trust,
		}.Name()
	}
	same := map[string]func(*model.Trust){
		"a digest told in advance": func(t *model.Trust) { t.AnchorsDigest = model.DigestAnchors(t.Anchors) },
		"a renewed end":            func(t *model.Trust) { t.Until = time.Unix(1, 0) },
		"the same in other memory": func(t *model.Trust) { t.Anchors = [][]byte{bytes.Clone(t.Anchors[0]), []byte("c")} },
	}
	for change, edit := range same {
		if name(trust(edit)) != name(trust()) {
			t.Errorf("%s changes the name", change)
		}
	}
	names := map[string]string{name(trust()): "nothing"}
	for change, edit := range map[string]func(*model.Trust){
		"another CA":             func(t *model.Trust) { t.Anchors = [][]byte{[]byte("ab"), []byte("d")} },
		"one CA less":            func(t *model.Trust) { t.Anchors = t.Anchors[:1] },
		"no CA":                  func(t *model.Trust) { t.Anchors = nil },
		"bytes of the next one":  func(t *model.Trust) { t.Anchors = [][]byte{[]byte("a"), []byte("bc")} },
		"another mode":           func(t *model.Trust) { t.Mode = model.InsecureSkipOnlySANVerification },
		"dates left out":         func(t *model.Trust) { t.IgnoreTime = true },
		"another name":           func(t *model.Trust) { t.Names = []model.Name{{Kind: model.URI, Value: "api.example.com"}} },
		"another SNI":            func(t *model.Trust) { t.SNI = "b.example.com" },
		"a revocation list":      func(t *model.Trust) { t.CRLs = [][]byte{[]byte("ab")} },
		"another one":            func(t *model.Trust) { t.CRLs = [][]byte{[]byte("ac")} },
		"lists for all":          func(t *model.Trust) { t.CRLs, t.RevokeChain = [][]byte{[]byte("ab")}, true },
		"a client certificate":   func(t *model.Trust) { t.Identity = &model.KeyPair{Chain: []byte("a")} },
		"another client":         func(t *model.Trust) { t.Identity = &model.KeyPair{Chain: []byte("b")} },
		"another policy":         func(t *model.Trust) { t.Policy.Name = "b" },
		"another protocol to it": func(t *model.Trust) { t.ALPN = []string{"h2"} },
	} {
		edited := name(trust(edit))
		if other, taken := names[edited]; taken {
			t.Errorf("%s has the name of %s", change, other)
		}
		names[edited] = change
	}
}

func TestADigestWithoutAnchorsMeansNothing(t *testing.T) {
	left := trust(func(t *model.Trust) { t.Anchors, t.AnchorsDigest = nil, model.DigestAnchors(t.Anchors) })
	none := trust(func(t *model.Trust) { t.Anchors = nil })
	if left.Digest() != none.Digest() {
		t.Error("a digest of anchors that are gone changes the trust")
	}
}
