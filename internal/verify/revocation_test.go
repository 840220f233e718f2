package verify_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

// crl is a list of yesterday and tomorrow, DER.
func (w world) crl(by *pki.Identity, edits ...func(*pki.Revocation)) []byte {
	w.t.Helper()
	revocation := pki.Revocation{ThisUpdate: w.now.AddDate(0, 0, -1), NextUpdate: w.now.AddDate(0, 0, 1)}
	for _, change := range edits {
		change(&revocation)
	}
	text, err := by.CRL(revocation)
	if err != nil {
		w.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

func revokes(revoked ...*pki.Identity) func(*pki.Revocation) {
	return func(r *pki.Revocation) { r.Revoked = revoked }
}

func (w world) spent(r *pki.Revocation) {
	r.ThisUpdate, r.NextUpdate = w.now.AddDate(0, 0, -3), w.now.AddDate(0, 0, -2)
}

func (w world) premature(r *pki.Revocation) {
	r.ThisUpdate, r.NextUpdate = w.now.AddDate(0, 0, 1), w.now.AddDate(0, 0, 2)
}

func (w world) endless(r *pki.Revocation) { r.ThisUpdate = w.now.AddDate(0, 0, -1) }

func asking(trust model.Trust, lists ...[]byte) model.Trust {
	trust.CRLs = lists
	return trust
}

func ofChain(trust model.Trust) model.Trust {
	trust.RevokeChain = true
	return trust
}

func TestRevocationIsJudgedAsEnvoyDoes(t *testing.T) {
	w := world{t: t, now: now}
	root, other, twin := w.authority("root"), w.authority("other"), w.authority("root")
	silent := w.authority("silent", func(r *pki.Request) { r.KeyUsage = x509.KeyUsageCertSign })
	middle := w.middle(root)
	leaf, under, revoked := w.leaf(root), w.leaf(middle), w.leaf(root)
	rootList, middleList := w.crl(root, revokes(revoked)), w.crl(middle)
	forged := w.crl(twin)
	const no, dead, unknown = verify.CertificateRevoked, verify.CRLExpired, verify.RevocationUnknown
	for _, r := range []row{
		serves("a certificate that is not on the list", leaf, asking(anchored(root), rootList), verify.Verified),
		serves("a certificate that is", revoked, asking(anchored(root), rootList), no),
		serves("a certificate that is, where time is ignored", revoked, allowExpired(asking(anchored(root), rootList)), no),
		serves("a certificate that is, where the name is skipped", revoked, skipName(asking(anchored(root), rootList)), no),
		serves("a list of somebody else", leaf, asking(anchored(root), w.crl(other)), unknown),
		serves("a list of a namesake", leaf, asking(anchored(root), forged), unknown),
		serves("a list of a namesake beside the right one", leaf, asking(anchored(root), forged, rootList), verify.Verified),
		serves("two CAs with the list of one", leaf, asking(anchored(root, other), w.crl(other)), unknown),
		serves("an expired list", leaf, asking(anchored(root), w.crl(root, w.spent)), dead),
		serves("an expired list where time is ignored", leaf, allowExpired(asking(anchored(root), w.crl(root, w.spent))),
			verify.Verified),
		serves("a list of the future", leaf, asking(anchored(root), w.crl(root, w.premature)), dead),
		serves("a list without an end", leaf, asking(anchored(root), w.crl(root, w.endless)), verify.Verified),
		serves("an expired list beside a valid one", revoked, asking(anchored(root), w.crl(root, w.spent), rootList), no),
		serves("the newer one of two", revoked,
			asking(anchored(root), rootList, w.crl(root, func(r *pki.Revocation) { r.ThisUpdate = w.now })), verify.Verified),
		serves("an intermediate's list", under, asking(anchored(root), middleList), verify.Verified),
		serves("the root's list where the intermediate's is needed", under, asking(anchored(root), rootList), unknown),
		serves("all lists of the chain", under, ofChain(asking(anchored(root), rootList, middleList)), verify.Verified),
		serves("the root's list is missing for the chain", under, ofChain(asking(anchored(root), middleList)), unknown),
		serves("a revoked intermediate, the leaf alone asked about", under,
			asking(anchored(root), w.crl(root, revokes(middle)), middleList), verify.Verified),
		serves("a revoked intermediate, the chain asked about", under,
			ofChain(asking(anchored(root), w.crl(root, revokes(middle)), middleList)), no),
		serves("an intermediate for an anchor has nobody to ask about it", under,
			ofChain(asking(anchored(middle), rootList, middleList)), unknown),
		serves("a root that revoked itself", leaf, ofChain(asking(anchored(root), w.crl(root, revokes(root)))), no),
		serves("an authority that must not sign lists", w.leaf(silent),
			asking(anchored(silent), w.crl(w.authority("silent", keyOf(silent)))), unknown),
		serves("an untrusted chain is not asked about", leaf, asking(anchored(other), w.crl(other)), verify.UntrustedIssuer),
		serves("a list that does not parse", leaf, asking(anchored(root), []byte("x")), unknown),
	} {
		t.Run(r.name, func(t *testing.T) {
			checks := verify.Verify(r.chain, &r.trust, now)
			if got := verify.Verdict(checks); got != r.want {
				t.Errorf("verdict %s, want %s: %+v", got, r.want, checks)
			}
		})
	}
}
