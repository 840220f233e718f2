package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

const host = "api.example.com"

// row is one backend under one trust, and what Envoy decides.
type row struct {
	name string
	// server holds the key; chain is what it presents.
	server *pki.Identity
	chain  [][]byte
	trust  model.Trust
	want   verify.Reason
}

// world makes certificates around a point in time. The first error fails the
// test.
type world struct {
	t   *testing.T
	now time.Time
}

// request is a certificate that is valid a day before and after now.
func (w world) request(name string) pki.Request {
	return pki.Request{
		Name: name, NotBefore: w.now.AddDate(0, 0, -1), NotAfter: w.now.AddDate(0, 0, 1),
	}
}

func (w world) authority(name string, edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	request := w.request(name)
	request.CA = true
	return w.must(pki.SelfSigned(edit(request, edits)))
}

func (w world) middle(issuer *pki.Identity, edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	request := w.request("intermediate")
	request.CA = true
	return w.must(issuer.Issue(edit(request, edits)))
}

func (w world) leaf(issuer *pki.Identity, edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	request := w.request("api")
	request.DNS = []string{host}
	return w.must(issuer.Issue(edit(request, edits)))
}

func (w world) selfSigned(edits ...func(*pki.Request)) *pki.Identity {
	w.t.Helper()
	request := w.request("self-signed")
	request.DNS = []string{host}
	return w.must(pki.SelfSigned(edit(request, edits)))
}

func (w world) must(identity *pki.Identity, err error) *pki.Identity {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return identity
}

func edit(request pki.Request, edits []func(*pki.Request)) pki.Request {
	for _, change := range edits {
		change(&request)
	}
	return request
}

// The edits that several rows need.

func (w world) expired(r *pki.Request) {
	r.NotBefore, r.NotAfter = w.now.AddDate(0, 0, -3), w.now.AddDate(0, 0, -2)
}

func (w world) future(r *pki.Request) {
	r.NotBefore, r.NotAfter = w.now.AddDate(0, 0, 2), w.now.AddDate(0, 0, 3)
}

func clientOnly(r *pki.Request) { r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
func anyUsage(r *pki.Request)   { r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
func asAuthority(r *pki.Request) {
	r.CA, r.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
}
func noKeyUsage(r *pki.Request) { r.NoKeyUsage = true }
func encipherOnly(r *pki.Request) {
	r.KeyUsage = x509.KeyUsageKeyEncipherment
}

func key(kind pki.KeyType) func(*pki.Request) {
	return func(r *pki.Request) { r.KeyType = kind }
}

func keyOf(other *pki.Identity) func(*pki.Request) {
	return func(r *pki.Request) { r.Key = other.Key }
}

func dns(names ...string) func(*pki.Request) {
	return func(r *pki.Request) { r.DNS = names }
}

func critical(id ...int) func(*pki.Request) {
	return func(r *pki.Request) {
		r.Extensions = append(r.Extensions, pkix.Extension{
			Id: asn1.ObjectIdentifier(id), Critical: true, Value: []byte{5, 0},
		})
	}
}

func permits(domains ...string) func(*pki.Request) {
	return func(r *pki.Request) { r.PermittedDNS = domains }
}

func excludes(domains ...string) func(*pki.Request) {
	return func(r *pki.Request) { r.ExcludedDNS = domains }
}

func pathLength(n int) func(*pki.Request) {
	return func(r *pki.Request) { r.PathLength = &n }
}

// anchored trusts certificates as anchors, for the host's name.
func anchored(anchors ...*pki.Identity) model.Trust {
	trust := model.Trust{Mode: model.Standard, SNI: host, Names: []model.Name{{Kind: model.DNS, Value: host}}}
	for _, anchor := range anchors {
		trust.Anchors = append(trust.Anchors, anchor.Certificate.Raw)
	}
	return trust
}

func allowExpired(trust model.Trust) model.Trust {
	trust.Mode, trust.IgnoreTime = model.InsecureAllowExpired, true
	return trust
}

func skipName(trust model.Trust) model.Trust {
	trust.Mode, trust.Names = model.InsecureSkipOnlySANVerification, nil
	return trust
}

func pinned(trust model.Trust, pins ...pin.Pin) model.Trust {
	trust.Leaves = pins
	return trust
}

func pinsOnly(pins ...pin.Pin) model.Trust {
	return model.Trust{Mode: model.Standard, SNI: host, Leaves: pins}
}

func named(trust model.Trust, names ...model.Name) model.Trust {
	trust.Names = names
	return trust
}

func skipAll() model.Trust { return model.Trust{Mode: model.InsecureSkipVerification, SNI: host} }

func exactly(leaf *pki.Identity) model.Trust {
	return pinned(anchored(leaf), pin.OfCertificate(leaf.Certificate))
}

func serves(name string, server *pki.Identity, trust model.Trust, want verify.Reason) row {
	return row{name: name, server: server, chain: server.DER(), trust: trust, want: want}
}

// presents is serves with other certificates after the leaf.
func presents(name string, server *pki.Identity, after []*pki.Identity, trust model.Trust, want verify.Reason) row {
	r := row{name: name, server: server, chain: [][]byte{server.Certificate.Raw}, trust: trust, want: want}
	for _, other := range after {
		r.chain = append(r.chain, other.Certificate.Raw)
	}
	return r
}

func matrix(w world) []row {
	var rows []row
	for _, part := range []func(world) []row{
		anchorRows, dateRows, trustedLeafRows, usageRows, pathRows, nameRows, pinRows, handshakeRows, modeRows,
		constraintRows, sameSubjectRows, encodingRows, subtreeRows, policyRows, longRows,
	} {
		rows = append(rows, part(w)...)
	}
	for i := range rows {
		rows[i].name = fmt.Sprintf("%03d %s", i, rows[i].name)
	}
	return rows
}

func anchorRows(w world) []row {
	root, other := w.authority("root"), w.authority("other")
	middle := w.middle(root)
	under, direct := w.leaf(middle), w.leaf(root)
	impostor := w.authority("root")
	self := w.selfSigned()
	twin, forger := w.authority("twin", identified("id")), w.authority("twin", identified("id"))
	underTwin := w.middle(twin)
	return []row{
		serves("an authority that only names itself like the issuer does not do", w.leaf(twin), anchored(forger),
			verify.UntrustedIssuer),
		serves("nor above an intermediate", w.leaf(underTwin), anchored(forger), verify.UntrustedIssuer),
		presents("nor is another one tried after it", w.leaf(twin), nil, anchored(forger, twin),
			verify.UntrustedIssuer),
		serves("a leaf and its intermediate lead to the root", under, anchored(root), verify.Verified),
		presents("without its intermediate a leaf leads nowhere", under, nil, anchored(root), verify.UntrustedIssuer),
		serves("an intermediate may be the anchor", under, anchored(middle), verify.Verified),
		presents("an intermediate anchor need not be sent", under, nil, anchored(middle), verify.Verified),
		serves("another authority does not do", direct, anchored(other), verify.UntrustedIssuer),
		serves("one of several authorities does", direct, anchored(other, root), verify.Verified),
		serves("an authority of the same name but another key does not do", direct, anchored(impostor),
			verify.UntrustedIssuer),
		presents("a root that is sent but not trusted does not do", direct, []*pki.Identity{root}, anchored(other),
			verify.UntrustedIssuer),
		presents("a root that is sent and trusted does", direct, []*pki.Identity{root}, anchored(root),
			verify.Verified),
		presents("intermediates may come out of order", under, []*pki.Identity{other, root, middle}, anchored(root),
			verify.Verified),
		serves("a self-signed leaf that is not trusted does not do", self, anchored(root), verify.UntrustedIssuer),
	}
}

func dateRows(w world) []row {
	root, deadRoot := w.authority("root"), w.authority("dead root", w.expired)
	deadMiddle := w.middle(root, w.expired)
	dead, early := w.leaf(root, w.expired), w.leaf(root, w.future)
	underDead := w.leaf(deadMiddle)
	return []row{
		serves("an expired leaf is refused", dead, anchored(root), verify.CertificateExpired),
		serves("an expired leaf is accepted where time is ignored", dead, allowExpired(anchored(root)),
			verify.Verified),
		serves("a leaf of the future is refused", early, anchored(root), verify.CertificateExpired),
		serves("a leaf of the future is accepted where time is ignored", early, allowExpired(anchored(root)),
			verify.Verified),
		serves("an expired intermediate is refused", underDead, anchored(root), verify.CertificateExpired),
		serves("an expired intermediate is accepted where time is ignored", underDead, allowExpired(anchored(root)),
			verify.Verified),
		serves("an expired intermediate as anchor is refused", underDead, anchored(deadMiddle),
			verify.CertificateExpired),
		serves("an expired root is refused", w.leaf(deadRoot), anchored(deadRoot), verify.CertificateExpired),
		serves("where time is ignored another authority is still refused", dead, allowExpired(anchored(deadRoot)),
			verify.UntrustedIssuer),
	}
}

func trustedLeafRows(w world) []row {
	root := w.authority("root")
	middle := w.middle(root)
	issued := w.leaf(root)
	self, selfCA := w.selfSigned(), w.selfSigned(asAuthority)
	bare := w.selfSigned(noKeyUsage)
	deadSelf := w.selfSigned(w.expired)
	deadIssued := w.leaf(root, w.expired)
	deadMiddle := w.middle(root, w.expired)
	underDead := w.leaf(deadMiddle)
	impostor := w.authority("root")
	return []row{
		serves("an issued leaf may be its own anchor", issued, anchored(issued), verify.Verified),
		serves("an issued leaf as anchor must not be expired", deadIssued, anchored(deadIssued),
			verify.CertificateExpired),
		serves("a self-signed leaf may be its own anchor", self, anchored(self), verify.Verified),
		serves("a self-signed CA may be its own anchor", selfCA, anchored(selfCA), verify.Verified),
		serves("a self-signed leaf without keyUsage may be its own anchor", bare, anchored(bare), verify.Verified),
		serves("another self-signed leaf is refused", w.selfSigned(), anchored(self), verify.UntrustedIssuer),
		serves("another self-signed CA is refused", w.selfSigned(asAuthority), anchored(selfCA),
			verify.UntrustedIssuer),
		serves("an expired self-signed anchor is refused", deadSelf, anchored(deadSelf), verify.CertificateExpired),
		serves("an expired self-signed anchor is accepted where time is ignored", deadSelf,
			allowExpired(anchored(deadSelf)), verify.Verified),
		presents("an expired intermediate beside a trusted leaf is refused", underDead, []*pki.Identity{deadMiddle},
			anchored(underDead), verify.CertificateExpired),
		presents("a trusted leaf alone does not care for its intermediate", underDead, nil, anchored(underDead),
			verify.Verified),
		presents("a false intermediate beside a trusted leaf is refused", w.leaf(middle),
			[]*pki.Identity{w.middle(impostor)}, anchored(w.leaf(middle)), verify.UntrustedIssuer),
		serves("a trusted CA leaf also anchors what it issued", w.leaf(selfCA), anchored(selfCA), verify.Verified),
		serves("its hash keeps a trusted CA leaf from anchoring others", w.leaf(selfCA), exactly(selfCA),
			verify.CertificateMismatch),
		serves("exactly the trusted leaf", issued, exactly(issued), verify.Verified),
		serves("a renewal of the trusted leaf is another leaf", w.leaf(root, keyOf(issued)), exactly(issued),
			verify.CertificateMismatch),
	}
}

func usageRows(w world) []row {
	root := w.authority("root")
	client, generic := w.leaf(root, clientOnly), w.leaf(root, anyUsage)
	self := w.selfSigned(clientOnly)
	clientMiddle := w.middle(root, clientOnly)
	plain := w.leaf(root, func(r *pki.Request) { r.NoExtKeyUsage = true })
	return []row{
		serves("a leaf for clients only is refused", client, anchored(root), verify.CertificateMismatch),
		serves("a leaf for any usage is refused", generic, anchored(root), verify.CertificateMismatch),
		serves("a leaf without extended key usage is accepted", plain, anchored(root), verify.Verified),
		serves("a trusted leaf for clients only is accepted", client, anchored(client), verify.Verified),
		serves("a trusted self-signed leaf for clients only is accepted", self, anchored(self), verify.Verified),
		serves("an intermediate for clients only is refused", w.leaf(clientMiddle), anchored(root),
			verify.CertificateMismatch),
		serves("an anchor for clients only is accepted", w.leaf(clientMiddle), anchored(clientMiddle), verify.Verified),
		serves("an unknown critical extension is refused", w.leaf(root, critical(1, 2, 3, 4)), anchored(root),
			verify.UntrustedIssuer),
	}
}

func pathRows(w world) []row {
	root := w.authority("root")
	leafIssuer := w.leaf(root)
	bareIssuer := w.leaf(root, noKeyUsage)
	noCA := w.middle(root, func(r *pki.Request) { r.CA, r.NoKeyUsage = false, true })
	short := w.authority("short", pathLength(0))
	shortMiddle := w.middle(short)
	one := w.middle(root, pathLength(0))
	two := w.middle(one, func(r *pki.Request) { r.Name = "second" })
	cross := w.authority("cross")
	crossed := w.must(cross.Issue(edit(w.request("root"), []func(*pki.Request){asAuthority, keyOf(root)})))
	return []row{
		serves("a leaf issued by a trusted end-entity certificate is refused", w.leaf(leafIssuer), anchored(leafIssuer),
			verify.UntrustedIssuer),
		serves("a trusted end-entity certificate without keyUsage does anchor", w.leaf(bareIssuer),
			anchored(bareIssuer), verify.Verified),
		serves("an intermediate without CA:TRUE is refused", w.leaf(noCA), anchored(root), verify.UntrustedIssuer),
		serves("the path length of an anchor does not count", w.leaf(shortMiddle), anchored(short), verify.Verified),
		serves("the path length of an intermediate counts", w.leaf(two), anchored(root), verify.UntrustedIssuer),
		serves("an anchor below the intermediate with a path length", w.leaf(two), anchored(one), verify.Verified),
		presents("a cross-signed root leads to the other root", w.leaf(root), []*pki.Identity{crossed}, anchored(cross),
			verify.Verified),
		presents("a trusted root is preferred to its cross-signed form", w.leaf(root), []*pki.Identity{crossed},
			anchored(root), verify.Verified),
	}
}
