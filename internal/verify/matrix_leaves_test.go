package verify_test

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

func nameRows(w world) []row {
	root := w.authority("root")
	under := func(name string, wanted model.Name, want verify.Reason, edits ...func(*pki.Request)) row {
		return serves(name, w.leaf(root, edits...), named(anchored(root), wanted), want)
	}
	asks := func(value string) model.Name { return model.Name{Kind: model.DNS, Value: value} }
	uri := func(value string) model.Name { return model.Name{Kind: model.URI, Value: value} }
	spiffe := func(r *pki.Request) { r.URIs = []string{"spiffe://example.com/api"} }
	const no, yes = verify.HostnameMismatch, verify.Verified
	rows := []row{
		under("the very name", asks(host), yes),
		under("another name", asks("web.example.com"), no),
		under("case does not count", asks("API.Example.com"), yes, dns("api.EXAMPLE.com")),
		under("one of many names", asks(host), yes, dns("a.example.com", "b.example.com", host)),
		under("a wildcard stands for one label", asks(host), yes, dns("*.example.com")),
		under("a wildcard does not stand for two labels", asks("a.b.example.com"), no, dns("*.example.com")),
		under("a wildcard does not stand for no label", asks("example.com"), no, dns("*.example.com")),
		under("a wildcard within the first label", asks(host), yes, dns("a*i.example.com")),
		under("a wildcard within the first label that does not fit", asks(host), no, dns("b*.example.com")),
		under("a wildcard may stand for nothing within a label", asks(host), yes, dns("api*.example.com")),
		under("what surrounds a wildcard must not overlap", asks("aba.example.com"), no, dns("ab*ba.example.com")),
		under("two wildcards match nothing", asks(host), no, dns("*p*.example.com")),
		under("a wildcard in the second label matches nothing", asks(host), no, dns("api.*.com")),
		under("a wildcard in an IDN label matches nothing", asks("xn--abc.example.com"), no, dns("xn--*.example.com")),
		under("an IDN label under a wildcard", asks("xn--abc.example.com"), yes, dns("*.example.com")),
		under("a wildcard in the policy is literal", asks("*.example.com"), no),
		under("a wildcard in the policy matches that wildcard", asks("*.example.com"), yes, dns("*.example.com")),
		under("a trailing dot counts", asks(host), no, dns(host+".")),
		under("the common name does not count", asks(host), no, dns(), func(r *pki.Request) { r.Name = host }),
		under("a URI, exactly", uri("spiffe://example.com/api"), yes, spiffe),
		under("a URI in another case", uri("spiffe://Example.com/api"), no, spiffe),
		under("a URI that only starts alike", uri("spiffe://example.com"), no, spiffe),
		under("a DNS name is no URI", uri(host), no),
		under("a URI is no DNS name", asks("spiffe://example.com/api"), no, spiffe),
	}
	both := named(anchored(root), asks("web.example.com"), uri("spiffe://example.com/api"))
	return append(rows,
		serves("any of the names does", w.leaf(root, spiffe), both, yes),
		serves("none of the names does not", w.leaf(root), both, no))
}

func pinRows(w world) []row {
	root, other := w.authority("root"), w.authority("other")
	leaf, stranger := w.leaf(root), w.leaf(root)
	renewed := w.leaf(root, keyOf(leaf))
	dead := w.leaf(root, w.expired, dns("elsewhere.example.com"), clientOnly)
	spki, whole := pin.OfKey(leaf.Certificate), pin.OfCertificate(leaf.Certificate)
	foreign := pin.OfKey(stranger.Certificate)
	return []row{
		serves("the pinned key", leaf, pinsOnly(spki), verify.Verified),
		serves("another key", stranger, pinsOnly(spki), verify.PinMismatch),
		serves("the pinned key in a renewed certificate", renewed, pinsOnly(spki), verify.Verified),
		serves("the pinned certificate", leaf, pinsOnly(whole), verify.Verified),
		serves("a renewal of the pinned certificate", renewed, pinsOnly(whole), verify.PinMismatch),
		serves("one of two pins", leaf, pinsOnly(foreign, whole), verify.Verified),
		serves("a bare pin checks no date, name or usage", dead, pinsOnly(pin.OfKey(dead.Certificate)),
			verify.Verified),
		presents("a pin of the authority does not count", leaf, []*pki.Identity{root},
			pinsOnly(pin.OfKey(root.Certificate), pin.OfCertificate(root.Certificate)), verify.PinMismatch),
		serves("authority and pin", leaf, pinned(anchored(root), spki), verify.Verified),
		serves("authority without the pin", leaf, pinned(anchored(root), foreign), verify.PinMismatch),
		serves("the pin without the authority", leaf, pinned(anchored(other), spki), verify.UntrustedIssuer),
	}
}

func handshakeRows(w world) []row {
	root := w.authority("root")
	var rows []row
	for _, c := range []struct {
		name string
		kind pki.KeyType
		want verify.Reason
	}{
		{"P-256", pki.P256, verify.Verified},
		{"P-384", pki.P384, verify.Verified},
		{"P-521", pki.P521, verify.CertificateMismatch},
		{"Ed25519", pki.Ed25519, verify.CertificateMismatch},
		{"RSA 1024", pki.RSA1024, verify.Verified},
		{"RSA 2048", pki.RSA2048, verify.Verified},
	} {
		rows = append(rows,
			serves("a leaf with a key of "+c.name, w.leaf(root, key(c.kind)), anchored(root), c.want),
			serves("a leaf with a key of "+c.name+", unverified", w.leaf(root, key(c.kind)), skipAll(), c.want))
	}
	rsa := w.leaf(root, key(pki.RSA2048), encipherOnly)
	ecdsa := w.leaf(root, encipherOnly)
	signs := w.leaf(root, key(pki.RSA2048), func(r *pki.Request) {
		r.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature
	})
	big := w.leaf(root, dns(append(manyNames(10_000), host)...))
	return append(rows,
		serves("an RSA leaf that may not sign", rsa, anchored(root), verify.CertificateMismatch),
		serves("an RSA leaf that may not sign, unverified", rsa, skipAll(), verify.CertificateMismatch),
		serves("an RSA leaf that may not sign, pinned", rsa, pinsOnly(pin.OfKey(rsa.Certificate)),
			verify.CertificateMismatch),
		serves("an ECDSA leaf that may not sign, unverified", ecdsa, skipAll(), verify.CertificateMismatch),
		serves("an RSA leaf that may sign and encipher", signs, anchored(root), verify.Verified),
		serves("a leaf without keyUsage", w.leaf(root, key(pki.RSA2048), noKeyUsage), anchored(root), verify.Verified),
		serves("a leaf under an Ed25519 authority", w.leaf(w.edAuthority()), anchored(w.edAuthority()),
			verify.UntrustedIssuer),
		w.underEd(),
		serves("10,000 names are more than is read", big, anchored(root), verify.CertificateMismatch),
		serves("10,000 names are more than is read, unverified", big, skipAll(), verify.CertificateMismatch),
		serves("2,000 names are read", w.leaf(root, dns(append(manyNames(2_000), host)...)), anchored(root),
			verify.Verified))
}

func (w world) edAuthority() *pki.Identity { return w.authority("ed", key(pki.Ed25519)) }

func (w world) underEd() row {
	root := w.edAuthority()
	return serves("a leaf under its Ed25519 authority", w.leaf(root), anchored(root), verify.Verified)
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%05d.example.org", i)
	}
	return names
}

func modeRows(w world) []row {
	root, other := w.authority("root"), w.authority("other")
	leaf, misnamed := w.leaf(root), w.leaf(root, dns("elsewhere.example.com"))
	dead := w.leaf(root, w.expired)
	return []row{
		serves("skipping verification accepts a stranger", w.selfSigned(w.expired, dns("x")), skipAll(),
			verify.Verified),
		serves("skipping the name accepts another name", misnamed, skipName(anchored(root)), verify.Verified),
		serves("skipping the name does not accept another authority", leaf, skipName(anchored(other)),
			verify.UntrustedIssuer),
		serves("skipping the name does not accept an expired leaf", dead, skipName(anchored(root)),
			verify.CertificateExpired),
		serves("skipping the name keeps the pins", misnamed,
			pinned(skipName(anchored(root)), pin.OfKey(leaf.Certificate)), verify.PinMismatch),
		serves("ignoring time keeps the name", misnamed, allowExpired(anchored(root)), verify.HostnameMismatch),
		serves("ignoring time keeps the pins", dead, pinned(allowExpired(anchored(root)), pin.OfKey(leaf.Certificate)),
			verify.PinMismatch),
	}
}

func constraintRows(w world) []row {
	var rows []row
	const no, yes = verify.UntrustedIssuer, verify.Verified
	for _, c := range []struct {
		name string
		edit func(*pki.Request)
		want verify.Reason
	}{
		{"permits the name itself", permits(host), yes},
		{"permits the domain", permits("example.com"), yes},
		{"permits the domain with a dot", permits(".example.com"), yes},
		{"permits the domain in capitals", permits("EXAMPLE.COM"), yes},
		{"permits another domain", permits("example.org"), no},
		{"permits one of two domains", permits("example.org", "example.com"), yes},
		{"permits a domain that only ends alike", permits("ample.com"), no},
		{"excludes the domain", excludes("example.com"), no},
		{"excludes another domain", excludes("example.org"), yes},
		{"permits the domain and excludes the name", func(r *pki.Request) {
			r.PermittedDNS, r.ExcludedDNS = []string{"example.com"}, []string{host}
		}, no},
	} {
		root := w.authority("root", c.edit)
		rows = append(rows, serves("an anchor that "+c.name, w.leaf(root), anchored(root), c.want))
		plain := w.authority("plain")
		rows = append(rows, serves("an intermediate that "+c.name, w.leaf(w.middle(plain, c.edit)),
			anchored(plain), c.want))
	}
	root := w.authority("root", permits("example.com"))
	wild := w.authority("wild", excludes("secret.example.com"))
	sameName := func(r *pki.Request) { r.Name, r.DNS = "root", []string{"api.example.org"} }
	numbered := w.authority("root", permits("example.com"), func(r *pki.Request) { r.Serial = 5 })
	nameless := w.leaf(root, dns(), func(r *pki.Request) { r.Name = host })
	decorated := w.leaf(root, dns(), func(r *pki.Request) { r.Name = "A Decoration" })
	return append(rows,
		serves("a wildcard that covers an excluded name", w.leaf(wild, dns("*.example.com")), anchored(wild), no),
		serves("constraints bind a leaf of the issuer's name", w.leaf(root, sameName), skipName(anchored(root)), no),
		serves("constraints do not bind an intermediate of the issuer's name",
			w.leaf(w.middle(numbered, sameName, issuedBy(numbered.Certificate.RawIssuer, 5))), anchored(numbered), yes),
		serves("constraints and a host as common name", nameless, skipName(anchored(root)), no),
		serves("constraints and a decorative common name", decorated, skipName(anchored(root)), yes))
}

// sameSubjectRows are anchors that only their serial number tells apart.
func sameSubjectRows(w world) []row {
	serial := func(n int64) func(*pki.Request) { return func(r *pki.Request) { r.Serial = n } }
	old := w.selfSigned(asAuthority, serial(1))
	renewed := w.selfSigned(asAuthority, serial(2), keyOf(old))
	otherKey := w.selfSigned(asAuthority, serial(3))
	// A key identifier in both tells certificates of two keys apart.
	idA := w.selfSigned(asAuthority, serial(1), identified("a"))
	idB := w.selfSigned(asAuthority, serial(2), identified("b"))
	leafOld := w.selfSigned(serial(1))
	leafNew := w.selfSigned(serial(2), keyOf(leafOld))
	rootOld := w.authority("root", serial(1))
	rootNew := w.authority("root", serial(2), keyOf(rootOld))
	trust := func(certs ...*pki.Identity) model.Trust {
		t := anchored(certs...)
		for _, c := range certs {
			t.Leaves = append(t.Leaves, pin.OfCertificate(c.Certificate))
		}
		return t
	}
	reversed := func(t model.Trust) model.Trust {
		t.Anchors = slices.Clone(t.Anchors)
		slices.Reverse(t.Anchors)
		return t
	}
	const no, yes = verify.UntrustedIssuer, verify.Verified
	return []row{
		serves("of two self-signed CA leaves of one key, the first", old, trust(old, renewed), yes),
		serves("of two self-signed CA leaves of one key, the second", renewed, trust(old, renewed), no),
		serves("of two self-signed CA leaves of one key, reversed, the first", old, reversed(trust(old, renewed)), no),
		serves("of two self-signed CA leaves of one key, reversed, the second", renewed, reversed(trust(old,
			renewed)), yes),
		serves("of two self-signed CA leaves of two keys, the first", old, trust(old, otherKey), yes),
		serves("of two self-signed CA leaves of two keys, the second", otherKey, trust(old, otherKey), no),
		serves("of two identified CA leaves, the first", idA, trust(idA, idB), yes),
		serves("of two identified CA leaves, the second", idB, trust(idA, idB), yes),
		serves("of two self-signed leaves of one key, the first", leafOld, trust(leafOld, leafNew), yes),
		serves("of two self-signed leaves of one key, the second", leafNew, trust(leafOld, leafNew), yes),
		serves("a leaf under one of two roots of one key", w.leaf(rootOld), anchored(rootOld, rootNew), yes),
		serves("a leaf under the other of two roots of one key", w.leaf(rootNew), anchored(rootOld, rootNew), yes),
	}
}
