package resolve

import (
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

// crlOf is a list of today and tomorrow.
func crlOf(t *testing.T, by *pki.Identity, edits ...func(*pki.Revocation)) string {
	t.Helper()
	revocation := pki.Revocation{ThisUpdate: noon.Add(-time.Hour), NextUpdate: noon.Add(time.Hour)}
	for _, edit := range edits {
		edit(&revocation)
	}
	list, err := by.CRL(revocation)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

func withExtension(critical bool, id ...int) func(*pki.Revocation) {
	return func(r *pki.Revocation) {
		r.Extensions = []pkix.Extension{{Id: id, Critical: critical, Value: []byte{0x05, 0x00}}}
	}
}

func spent(r *pki.Revocation) {
	r.ThisUpdate, r.NextUpdate = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
}

// lists puts revocation lists into the ConfigMap lists.
func (w *world) lists(texts ...string) {
	w.snap.ConfigMaps = w.snap.ConfigMaps.With(&corev1.ConfigMap{
		Namespace: "default", Name: "lists", Data: map[string]string{"ca.crl": strings.Join(texts, "")},
	})
}

const withLists = byCA + "  backendtls.dev/crl: configmap/lists\n"

func TestARevokedCertificateIsRefused(t *testing.T) {
	known := testCertificates()
	w := newWorld(t)
	w.lists(crlOf(t, known.ca, func(r *pki.Revocation) { r.Revoked = []*pki.Identity{known.stranger} }))
	w.policy("api", withLists)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonResolvedRefs,
		"configmap/default/lists key ca.crl (1 revocation list, nextUpdate 2026-11-21T13:00:00Z")
	p.expect(policyKey, report.PolicySecurityDegraded, report.PolicyReasonStrict, "revocation")
	trust := p.at("https").Trust
	if trust == nil || len(trust.CRLs) != 1 || trust.RevokeChain {
		t.Fatalf("trust %+v", trust)
	}
	if got := verify.Verdict(verify.Verify(known.stranger.DER(), trust, noon)); got != verify.CertificateRevoked {
		t.Errorf("the revoked certificate: %s", got)
	}
	if got := verify.Verdict(verify.Verify(known.good.DER(), trust, noon)); got != verify.Verified {
		t.Errorf("another certificate: %s", got)
	}
}

func TestTheScopeOfTheChainIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.lists(crlOf(t, testCertificates().ca))
	w.policy("api", withLists+"  backendtls.dev/crl-scope: Chain\n")
	if trust := w.build().at("https").Trust; trust == nil || !trust.RevokeChain {
		t.Errorf("trust %+v", trust)
	}
}

func TestRevocationListsThatCannotBeUsedFailClosed(t *testing.T) {
	known := testCertificates()
	forger, err := pki.SelfSigned(pki.Request{
		Name: "ca", CA: true, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	good := crlOf(t, known.ca)
	block, _ := pem.Decode([]byte(good))
	const scope, object = "  backendtls.dev/crl-scope: Chain\n", "configmap/default/lists"
	for _, c := range []struct {
		name, spec, lists string
		resolved          report.PolicyReason
		words             []string
	}{
		{"none of the CA", withLists, crlOf(t, known.other), report.PolicyReasonInvalidCRLRef, []string{`no revocation list of the CA "CN=ca"`}},
		{"one of the CA's name by another key", withLists, crlOf(t, forger), report.PolicyReasonInvalidCRLRef, []string{"is not signed by it"}},
		{"a certificate", withLists, string(known.ca.PEM()), report.PolicyReasonInvalidCRLRef, []string{object, "only X509 CRL is expected"}},
		{"DER", withLists, string(block.Bytes), report.PolicyReasonInvalidCRLRef, []string{"openssl crl -inform DER"}},
		{"a broken block", withLists, good + strings.Replace(good, "CRL-----\n", "CRL-----\n!", 1), report.PolicyReasonInvalidCRLRef, []string{"1 of 2 PEM blocks"}},
		{"a delta", withLists, crlOf(t, known.ca, withExtension(true, 2, 5, 29, 27)), report.PolicyReasonInvalidCRLRef, []string{"is a delta"}},
		{"a part", withLists, crlOf(t, known.ca, withExtension(true, 2, 5, 29, 28)), report.PolicyReasonInvalidCRLRef, []string{"issuingDistributionPoint"}},
		{"an unknown extension", withLists, crlOf(t, known.ca, withExtension(true, 1, 2, 3)), report.PolicyReasonInvalidCRLRef, []string{"critical extension 1.2.3"}},
		{"one good, one missing", byCA + "  backendtls.dev/crl: configmap/lists, configmap/absent\n", good, report.PolicyReasonInvalidCRLRef, []string{"configmap/default/absent does not exist"}},
		{
			"the system's roots",
			"validation: {hostname: api.example.com, wellKnownCACertificates: System}\noptions:\n" +
				"  backendtls.dev/crl: configmap/lists\n",
			good, report.PolicyReasonResolvedRefs,
			[]string{"needs caCertificateRefs"},
		},
		{
			"pins alone", withLists + "  backendtls.dev/pins-only: \"true\"\n  backendtls.dev/pins: $SPKI\n",
			good, report.PolicyReasonResolvedRefs,
			[]string{"which is not asked"},
		},
		{
			"two CAs, a list of one", strings.Replace(withLists, "name: ca}", "name: several}", 1), good,
			report.PolicyReasonInvalidCRLRef,
			[]string{`no revocation list of the CA "CN=other ca"`},
		},
	} {
		for _, spec := range []string{c.spec, c.spec + scope} {
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t, permissive)
				w.lists(c.lists)
				w.policy("api", spec)
				p := w.build()
				p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid,
					append(c.words, `spec.options["backendtls.dev/crl"]`)...)
				p.expect(policyKey, report.PolicyResolvedRefs, c.resolved)
				if decision := p.at("https"); decision.Trust != nil {
					t.Errorf("decided %+v", decision)
				}
			})
		}
	}
}

func TestAnIntermediateAloneHasNoChainToAskAbout(t *testing.T) {
	known := testCertificates()
	middle, err := known.ca.Issue(pki.Request{
		Name: "middle", CA: true, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.lists(crlOf(t, known.ca), crlOf(t, middle))
	for _, c := range []struct {
		authorities, scope string
		want               report.PolicyReason
	}{
		{string(middle.PEM()), "Leaf", report.PolicyReasonAccepted},
		{string(middle.PEM()), "Chain", report.PolicyReasonInvalid},
		{string(middle.PEM()) + string(known.ca.PEM()), "Chain", report.PolicyReasonAccepted},
	} {
		w.snap.ConfigMaps = w.snap.ConfigMaps.With(&corev1.ConfigMap{
			Namespace: "default", Name: "ca", Data: map[string]string{"ca.crt": c.authorities},
		})
		w.policy("api", withLists+"  backendtls.dev/crl-scope: "+c.scope)
		w.build().expect(policyKey, report.PolicyAccepted, c.want)
	}
}

func TestAListThatHasRunOutIsSaid(t *testing.T) {
	known := testCertificates()
	for _, c := range []struct {
		name  string
		lists []string
		want  report.PolicyReason
		next  time.Time
		says  string
	}{
		{"valid", []string{crlOf(t, known.ca)}, report.PolicyReasonResolvedRefs, noon.Add(time.Hour), "nextUpdate"},
		{"expired", []string{crlOf(t, known.ca, spent)}, report.PolicyReasonCRLExpired, time.Time{}, `"CN=ca" expired at 2026-11-21T11:00:00Z`},
		{
			"expired, and a newer one",
			[]string{crlOf(t, known.ca, spent), crlOf(t, known.ca)},
			report.PolicyReasonResolvedRefs,
			noon.Add(time.Hour), "2 revocation lists",
		},
		{
			"of the future",
			[]string{crlOf(t, known.ca, func(r *pki.Revocation) {
				r.ThisUpdate, r.NextUpdate = noon.Add(time.Minute), noon.Add(time.Hour)
			})},
			report.PolicyReasonCRLExpired, noon.Add(time.Minute), "is not valid before 2026-11-21T12:01:00Z",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.lists(c.lists...)
			w.policy("api", withLists)
			p := w.build()
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
			p.expect(policyKey, report.PolicyResolvedRefs, c.want, c.says)
			if !p.b.next.Equal(c.next) {
				t.Errorf("looks again at %s, want %s", p.b.next, c.next)
			}
		})
	}
}

func TestAModeKeepsWhatItDoesNotName(t *testing.T) {
	w := newWorld(t, permissive)
	w.lists(crlOf(t, testCertificates().ca))
	for mode, want := range map[model.Mode]int{
		model.InsecureAllowExpired: 1, model.InsecureSkipOnlySANVerification: 1, model.InsecureSkipVerification: 0,
	} {
		w.policy("api", withLists+"  backendtls.dev/mode: "+string(mode)+"\n")
		w.readBack(w.build())
		trust := w.build().at("https").Trust
		if trust == nil || trust.Mode != mode || len(trust.CRLs) != want {
			t.Errorf("%s: trust %+v", mode, trust)
		}
	}
}

func FuzzCRLs(f *testing.F) {
	identity := testCertificates().ca
	list, err := identity.CRL(pki.Revocation{ThisUpdate: noon, NextUpdate: noon, Revoked: []*pki.Identity{identity}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list)
	f.Add(append([]byte("x\n"), list...))
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lists, err := parseCRLs(text)
		if (err == nil) != (len(lists) > 0) {
			t.Errorf("%d lists and the error %v", len(lists), err)
		}
		if err == nil && len(newListSet(lists).raw) == 0 {
			t.Error("lists were lost")
		}
	})
}
