package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"time"

	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

// tlv is a DER value of the tag byte; contents are joined. Lengths up to 64 KiB.
func tlv(tag byte, contents ...[]byte) []byte {
	var body []byte
	for _, c := range contents {
		body = append(body, c...)
	}
	switch n := len(body); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	}
}

func text(tag byte, value string) []byte { return tlv(tag, []byte(value)) }

// The GeneralName forms of RFC 5280 section 4.2.1.6.
func mailName(v string) []byte      { return text(0x81, v) }
func dnsName(v string) []byte       { return text(0x82, v) }
func directoryName(v []byte) []byte { return tlv(0xa4, v) }
func uriName(v string) []byte       { return text(0x86, v) }
func ipName(v ...byte) []byte       { return tlv(0x87, v) }

func commonName(tag byte, value string) []byte {
	return tlv(0x30, tlv(0x31, tlv(0x30, []byte{6, 3, 0x55, 4, 3}, text(tag, value))))
}

// attributes is a Name of one relative name with several attributes; the order is
// that of DER if the shorter comes first.
func attributes(parts ...[]byte) []byte { return tlv(0x30, tlv(0x31, parts...)) }

func organization(value string) []byte {
	return tlv(0x30, []byte{6, 3, 0x55, 4, 10}, text(0x13, value))
}

func common(value string) []byte { return tlv(0x30, []byte{6, 3, 0x55, 4, 3}, text(0x13, value)) }

// address is a Name of an emailAddress attribute.
func address(value string) []byte {
	return attributes(tlv(0x30, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1}, text(0x16, value)))
}

func subject(name []byte) func(*pki.Request) { return func(r *pki.Request) { r.RawSubject = name } }

func extended(isCritical bool, value []byte, id ...int) func(*pki.Request) {
	return func(r *pki.Request) {
		r.Extensions = append(r.Extensions, pkix.Extension{
			Id: asn1.ObjectIdentifier(id), Critical: isCritical, Value: value,
		})
	}
}

func permitsNames(names ...[]byte) func(*pki.Request) { return constrains(0xa0, names) }
func excludesNames(names ...[]byte) func(*pki.Request) {
	return constrains(0xa1, names)
}

func constrains(tag byte, names [][]byte) func(*pki.Request) {
	var subtrees []byte
	for _, name := range names {
		subtrees = append(subtrees, tlv(0x30, name)...)
	}
	return extended(true, tlv(0x30, tlv(tag, subtrees)), 2, 5, 29, 30)
}

func altNames(names ...[]byte) func(*pki.Request) {
	return extended(false, tlv(0x30, names...), 2, 5, 29, 17)
}

// identified sets the subject and authority key identifiers.
func identified(id string) func(*pki.Request) {
	return func(r *pki.Request) {
		extended(false, text(4, id), 2, 5, 29, 14)(r)
		extended(false, tlv(0x30, text(0x80, id)), 2, 5, 29, 35)(r)
	}
}

// issuedBy sets the authority key identifier to an issuer's name and serial.
func issuedBy(issuer []byte, serial byte) func(*pki.Request) {
	return extended(false, tlv(0x30, tlv(0xa1, directoryName(issuer)), tlv(0x82, []byte{serial})), 2, 5, 29, 35)
}

func requiresPolicy() func(*pki.Request) {
	return extended(true, tlv(0x30, tlv(0x80, []byte{0})), 2, 5, 29, 36)
}

// policy is a certificatePolicies extension that names the policy 1.2.3.LAST.
func policy(last byte) func(*pki.Request) {
	return extended(false, tlv(0x30, tlv(0x30, []byte{6, 3, 0x2a, 3, last})), 2, 5, 29, 32)
}

// renamed is the identity under another encoding of its subject: what it issues
// names its issuer so.
func renamed(issuer *pki.Identity, subject []byte) *pki.Identity {
	cert := *issuer.Certificate
	cert.RawSubject = subject
	return &pki.Identity{Certificate: &cert, Key: issuer.Key}
}

func encodingRows(w world) []row {
	root := w.authority("Root  CA", noKeyUsage)
	rooted := func(name string, subject []byte, want verify.Reason) row {
		server := w.leaf(renamed(root, subject))
		return presents(name, server, nil, anchored(root), want)
	}
	wide := w.authority("", subject(attributes(common("cdef"), organization("a   b"))), noKeyUsage)
	narrow := renamed(wide, attributes(organization("a b"), common("cdef")))
	serial := w.authority("by serial", func(r *pki.Request) { r.Serial = 5 })
	rsa := w.authority("rsa", key(pki.RSA2048))
	sha1 := func(r *pki.Request) { r.SignatureAlgorithm = x509.SHA1WithRSA }
	const no, yes = verify.UntrustedIssuer, verify.Verified
	return []row{
		rooted("an issuer's name as UTF8String", commonName(0x0c, "Root  CA"), yes),
		rooted("an issuer's name in another case", commonName(0x13, "ROOT  ca"), yes),
		rooted("an issuer's name with other white space", commonName(0x13, " Root CA "), yes),
		rooted("an issuer's name as BMPString", commonName(0x1e, "\x00R\x00o\x00o\x00t\x00 \x00C\x00A"), yes),
		rooted("an issuer's name without its space", commonName(0x13, "RootCA"), no),
		presents("an issuer's name whose parts sort otherwise", w.leaf(narrow), nil, anchored(wide), yes),
		rooted("another issuer's name", commonName(0x13, "Boot CA"), no),
		serves("an authority's name and serial number", w.leaf(serial, issuedBy(serial.Certificate.RawIssuer, 5)),
			anchored(serial), yes),
		serves("another authority's serial number", w.leaf(serial, issuedBy(serial.Certificate.RawIssuer, 6)),
			anchored(serial), no),
		serves("another authority's issuer", w.leaf(serial, issuedBy(commonName(0x13, "x"), 5)), anchored(serial), no),
		serves("a SHA-1 signature", w.leaf(rsa, sha1), anchored(rsa), yes),
	}
}

func subtreeRows(w world) []row {
	var rows []row
	const no, yes = verify.UntrustedIssuer, verify.Verified
	uris := altNames(dnsName(host), uriName("spiffe://Example.com/api"), mailName("Ops@Example.com"),
		ipName(10, 0, 0, 1))
	for _, c := range []struct {
		name string
		edit func(*pki.Request)
		want verify.Reason
	}{
		{"a URI's host", permitsNames(uriName("example.com")), yes},
		{"a URI's domain", permitsNames(uriName(".com")), yes},
		{"a URI's host below", permitsNames(uriName(".example.com")), no},
		{"another URI's host", permitsNames(uriName("example.org")), no},
		{"a URI constraint that is no domain", permitsNames(uriName("exa_mple.com")), no},
		{"a mailbox", permitsNames(mailName("Ops@example.COM")), yes},
		{"a mailbox in another case", permitsNames(mailName("ops@example.com")), no},
		{"a mail host", permitsNames(mailName("example.com")), yes},
		{"a mail domain", permitsNames(mailName(".com")), yes},
		{"another mail host", permitsNames(mailName("example.org")), no},
		{"an IP range", permitsNames(ipName(10, 0, 0, 0, 255, 0, 0, 0)), no},
		{"a directory", permitsNames(directoryName(commonName(0x0c, "API"))), yes},
		{"every directory", permitsNames(directoryName(tlv(0x30))), yes},
		{"another directory", permitsNames(directoryName(commonName(0x0c, "web"))), no},
	} {
		root := w.authority("root", c.edit)
		rows = append(rows, serves("constrained to "+c.name, w.leaf(root, uris), anchored(root), c.want))
	}
	for _, c := range []struct {
		name string
		edit func(*pki.Request)
		want verify.Reason
	}{
		{"a URI's host", excludesNames(uriName("example.com")), no},
		{"another URI's host", excludesNames(uriName("example.org")), yes},
		{"a mailbox", excludesNames(mailName("Ops@example.com")), no},
		{"another mailbox", excludesNames(mailName("dev@example.com")), yes},
		{"a directory", excludesNames(directoryName(commonName(0x0c, "API"))), no},
		{"another directory", excludesNames(directoryName(commonName(0x0c, "web"))), yes},
	} {
		root := w.authority("root", c.edit)
		rows = append(rows, serves("excluding "+c.name, w.leaf(root, uris), anchored(root), c.want))
	}
	spiffe := w.authority("root", permitsNames(uriName("example.com")))
	noOps := w.authority("root", excludesNames(mailName("ops@example.com")))
	crowd, crowdOut := w.authority("root", permits(append(manyNames(998), "example.com", "example.org")...)),
		w.authority("root", permits(append(manyNames(1098), "example.com", "example.org")...))
	return append(rows,
		serves("excluding a subject's mailbox", w.leaf(noOps, subject(address("Ops@example.com"))),
			anchored(noOps), no),
		serves("excluding another subject's mailbox", w.leaf(noOps, subject(address("dev@example.com"))),
			anchored(noOps), yes),
		serves("a million comparisons", w.leaf(crowd, dns(append(manyNames(998), host)...)), anchored(crowd), yes),
		serves("more than a million comparisons", w.leaf(crowdOut, dns(append(manyNames(998), host)...)),
			anchored(crowdOut), no),
		serves("constrained, a URI without a host", w.leaf(spiffe, altNames(dnsName(host), uriName("urn:x:y"))),
			anchored(spiffe), no),
		serves("constrained, a URI with an address", w.leaf(spiffe, altNames(dnsName(host),
			uriName("https://10.0.0.1/"))),
			anchored(spiffe), no),
		serves("constrained, a URI with a port", w.leaf(spiffe, altNames(dnsName(host),
			uriName("https://example.com:443/"))),
			anchored(spiffe), yes),
		serves("constrained, an IP address of no constrained type", w.leaf(spiffe, func(r *pki.Request) {
			r.IPs = []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		}), anchored(spiffe), yes))
}

func policyRows(w world) []row {
	root := w.authority("root")
	demanding := w.middle(root, requiresPolicy(), policy(4))
	demandingAnchor := w.authority("anchor", requiresPolicy())
	renewed := w.middle(root, requiresPolicy(), policy(4), func(r *pki.Request) { r.NotBefore = w.now.Add(-time.Minute) })
	return []row{
		serves("a demanded policy", w.leaf(demanding, policy(4)), anchored(root), verify.Verified),
		serves("no policy where one is demanded", w.leaf(demanding), anchored(root), verify.UntrustedIssuer),
		serves("another policy than the demanded one", w.leaf(demanding, policy(5)), anchored(root),
			verify.UntrustedIssuer),
		serves("no policy where time is ignored", w.leaf(demanding, w.expired), allowExpired(anchored(root)),
			verify.UntrustedIssuer),
		serves("a demanded policy of a younger issuer where time is ignored", w.leaf(renewed, policy(4)),
			allowExpired(anchored(root)), verify.Verified),
		serves("an anchor demands nothing", w.leaf(demandingAnchor), anchored(demandingAnchor), verify.Verified),
	}
}

func longRows(w world) []row {
	root := w.authority("root")
	var rows []row
	for _, c := range []struct {
		intermediates int
		want          verify.Reason
	}{{100, verify.Verified}, {101, verify.UntrustedIssuer}} {
		last := root
		for i := range c.intermediates {
			last = w.middle(last, func(r *pki.Request) { r.Name = fmt.Sprintf("m%d", i) })
		}
		rows = append(rows, serves(fmt.Sprintf("%d intermediates", c.intermediates), w.leaf(last),
			anchored(root), c.want))
	}
	return rows
}
