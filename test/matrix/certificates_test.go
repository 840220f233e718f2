package matrix_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"testing"
	"time"

	"github.com/backendtls/backendtls/test/pki"
)

// The names that the policies ask for.
const (
	host = "api.example.com"
	uri  = "spiffe://example.com/api"
)

// certificate is a row of every table: what a backend presents.
type certificate struct {
	// title is the row's, meaning the line of the list above the tables.
	title, meaning string
	served         *pki.Identity
	// issuer is who signed it: a word of trust.issuers.
	issuer string
	// name says what the certificate is good for by name, a word of trust.names.
	names []string
	// lacks are the other checks of docs/policy.md that it does not pass.
	lacks []string
	// stands is the row whose certificate a policy has in mind that pins or trusts
	// a certificate; itself unless it is another row's.
	stands *certificate
	// version is the highest version of TLS that the backend speaks; 0 for any.
	version uint16
}

// The words for issuers and names.
const (
	byCA, byOther, bySelf = "the CA", "another CA", "itself"
	named, namedURI       = "the hostname", "the URI"
)

// authorities are those that the policies trust, and their revocation lists: of
// today and of last week.
type authorities struct {
	root, other  *pki.Identity
	lists, spent []byte
}

// workshop makes certificates around a point in time; the first error fails the
// test.
type workshop struct {
	t   testing.TB
	now time.Time
	authorities
	middle *pki.Identity
}

func newWorkshop(t testing.TB, now time.Time) *workshop {
	t.Helper()
	w := &workshop{t: t, now: now}
	w.root = w.selfSigned("Shop CA", func(r *pki.Request) { r.CA, r.DNS = true, nil })
	w.other = w.selfSigned("Other CA", func(r *pki.Request) { r.CA, r.DNS = true, nil })
	w.middle = w.intermediate()
	return w
}

func (w *workshop) must(made *pki.Identity, err error) *pki.Identity {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *workshop) request(name string, edits []func(*pki.Request)) pki.Request {
	request := pki.Request{
		Name: name, DNS: []string{host}, NotBefore: w.now.AddDate(0, 0, -1), NotAfter: w.now.AddDate(0, 0, 1),
	}
	for _, edit := range edits {
		edit(&request)
	}
	return request
}

func (w *workshop) selfSigned(name string, edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	return w.must(pki.SelfSigned(w.request(name, edits)))
}

func (w *workshop) intermediate(edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	edits = append(edits, func(r *pki.Request) { r.CA, r.DNS = true, nil })
	return w.must(w.root.Issue(w.request("Shop Intermediate", edits)))
}

// leaf is issued by the intermediate, which is sent along.
func (w *workshop) leaf(edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	return w.must(w.middle.Issue(w.request("api", edits)))
}

// issue adds the revocation lists of an authority.
func (w *workshop) issue(by *pki.Identity, revocation pki.Revocation) {
	w.t.Helper()
	add := func(to *[]byte, from, until time.Time) {
		revocation.ThisUpdate, revocation.NextUpdate = from, until
		list, err := by.CRL(revocation)
		if err != nil {
			w.t.Fatal(err)
		}
		*to = append(*to, list...)
	}
	add(&w.lists, w.now.AddDate(0, 0, -1), w.now.AddDate(0, 0, 1))
	add(&w.spent, w.now.AddDate(0, 0, -8), w.now.AddDate(0, 0, -1))
}

func (w *workshop) expired(r *pki.Request) {
	r.NotBefore, r.NotAfter = w.now.AddDate(0, 0, -3), w.now.AddDate(0, 0, -2)
}

func (w *workshop) early(r *pki.Request) {
	r.NotBefore, r.NotAfter = w.now.AddDate(0, 0, 2), w.now.AddDate(0, 0, 3)
}

func usage(usages ...x509.ExtKeyUsage) func(*pki.Request) {
	return func(r *pki.Request) { r.ExtKeyUsage = usages }
}

func keyType(kind pki.KeyType) func(*pki.Request) {
	return func(r *pki.Request) { r.KeyType = kind }
}

func unnamed(r *pki.Request) { r.DNS = nil }

// certificates are the rows.
func (w *workshop) certificates() []*certificate {
	good := &certificate{
		title: "good", meaning: "just that",
		served: w.leaf(),
	}
	rows := []*certificate{good}
	rows = append(rows, w.renewals(good)...)
	rows = append(rows, w.strangers()...)
	rows = append(rows, w.dated()...)
	rows = append(rows, w.revoked()...)
	rows = append(rows, w.used()...)
	rows = append(rows, w.titled()...)
	rows = append(rows, w.keyed()...)
	for _, row := range rows {
		if row.issuer == "" {
			row.issuer = byCA
		}
		if row.names == nil {
			row.names = []string{named}
		}
		if row.stands == nil {
			row.stands = row
		}
	}
	return rows
}

// renewals are as good as the good one, but are not it.
func (w *workshop) renewals(good *certificate) []*certificate {
	return []*certificate{
		{
			title:   "good, renewed with its key",
			meaning: "a later certificate of the same key; pinned or trusted is the one before",
			served:  w.leaf(func(r *pki.Request) { r.Key = good.served.Key }),
			lacks:   []string{isThat}, stands: good,
		},
		{
			title: "good, with another key", meaning: "pinned or trusted is the good one before",
			served: w.leaf(), lacks: []string{isPinned, isThat}, stands: good,
		},
	}
}

func (w *workshop) strangers() []*certificate {
	alone := w.leaf()
	alone.Path = nil
	return []*certificate{
		{
			title: "other CA", meaning: "issued by a CA of somebody else",
			served: w.must(w.other.Issue(w.request("api", nil))), issuer: byOther,
		},
		{
			title: "self-signed", meaning: "for the right name", served: w.selfSigned("self-signed"), issuer: bySelf,
		},
		{
			title: "chain without intermediate", meaning: "the good one, whose intermediate is not sent",
			served: alone, lacks: []string{isIssued},
		},
	}
}

// revoked are those that the revocation lists speak against, or not of.
func (w *workshop) revoked() []*certificate {
	revoked, above := w.leaf(), w.intermediate()
	w.issue(w.root, pki.Revocation{Revoked: []*pki.Identity{above}})
	w.issue(w.middle, pki.Revocation{Revoked: []*pki.Identity{revoked}})
	w.issue(above, pki.Revocation{})
	w.issue(w.other, pki.Revocation{})
	return []*certificate{
		{
			title: "revoked", meaning: "on the revocation list of the intermediate", served: revoked,
			lacks: []string{isUnrevoked},
		},
		{
			title: "revoked intermediate", meaning: "its intermediate is on the revocation list of the CA",
			served: w.must(above.Issue(w.request("api", nil))), lacks: []string{isUnrevokedAbove},
		},
		{
			title: "without a revocation list", meaning: "of its intermediate there is no revocation list",
			served: w.must(w.intermediate().Issue(w.request("api", nil))), lacks: []string{isUnrevoked},
		},
	}
}

func (w *workshop) dated() []*certificate {
	dead := w.intermediate(w.expired)
	w.issue(dead, pki.Revocation{})
	return []*certificate{
		{title: "expired", meaning: "two days ago", served: w.leaf(w.expired), lacks: []string{isDated}},
		{title: "not yet valid", meaning: "in two days", served: w.leaf(w.early), lacks: []string{isDated}},
		{
			title: "expired intermediate", meaning: "the intermediate that is sent along expired two days ago",
			served: w.must(dead.Issue(w.request("api", nil))), lacks: []string{isDated},
		},
	}
}

func (w *workshop) used() []*certificate {
	enciphers := func(r *pki.Request) { r.KeyType, r.KeyUsage = pki.RSA2048, x509.KeyUsageKeyEncipherment }
	return []*certificate{
		{
			title: "client-auth only", meaning: "its extended key usage is clientAuth",
			served: w.leaf(usage(x509.ExtKeyUsageClientAuth)), lacks: []string{isIssued},
		},
		{
			title: "any extended key usage", meaning: "its extended key usage is anyExtendedKeyUsage",
			served: w.leaf(usage(x509.ExtKeyUsageAny)),
		},
		{
			title: "wrong key usage", meaning: "an RSA key whose keyUsage is keyEncipherment without digitalSignature",
			served: w.leaf(enciphers), lacks: []string{isIssued},
		},
	}
}

func (w *workshop) titled() []*certificate {
	address := netip.MustParseAddr("127.0.0.1")
	return []*certificate{
		{
			title: "wrong name", meaning: "for `web.example.com`", names: []string{},
			served: w.leaf(func(r *pki.Request) { r.DNS = []string{"web.example.com"} }),
		},
		{
			title: "wildcard SAN", meaning: "for `*.example.com`",
			served: w.leaf(func(r *pki.Request) { r.DNS = []string{"*.example.com"} }),
		},
		{
			title: "IP-only SAN", meaning: "for the very address that Envoy connects to", names: []string{},
			served: w.leaf(unnamed, func(r *pki.Request) { r.IPs = []netip.Addr{address} }),
		},
		{
			title: "no SAN", meaning: "`" + host + "` is its common name only", names: []string{},
			served: w.leaf(unnamed, func(r *pki.Request) { r.Name = host }),
		},
		{
			title: "URI SAN", meaning: "for `" + uri + "`", names: []string{namedURI},
			served: w.leaf(unnamed, func(r *pki.Request) { r.URIs = []string{uri} }),
		},
	}
}

func (w *workshop) keyed() []*certificate {
	return []*certificate{
		{title: "P-384", meaning: "an ECDSA key on that curve", served: w.leaf(keyType(pki.P384))},
		{
			title: "P-384 over TLS 1.2", meaning: "of a backend that speaks no TLS 1.3",
			served: w.leaf(keyType(pki.P384)), version: tls.VersionTLS12,
		},
		{title: "P-521", meaning: "an ECDSA key on that curve", served: w.leaf(keyType(pki.P521))},
		{title: "RSA-1024", meaning: "a key of 1024 bits", served: w.leaf(keyType(pki.RSA1024))},
		{title: "Ed25519", meaning: "such a key", served: w.leaf(keyType(pki.Ed25519))},
	}
}
