package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/pin"
)

// Mode is a verification mode of BackendTLSPolicy.
type Mode string

// The modes, by the names of upstream's API proposal (gateway-api PR 4779).
const (
	Standard                        Mode = "Standard"
	InsecureAllowExpired            Mode = "InsecureAllowExpired"
	InsecureSkipOnlySANVerification Mode = "InsecureSkipOnlySANVerification"
	InsecureSkipVerification        Mode = "InsecureSkipVerification"
)

// Modes lists every mode, the strict one first.
var Modes = []Mode{Standard, InsecureAllowExpired, InsecureSkipOnlySANVerification, InsecureSkipVerification}

// Insecure says whether the mode checks less than the policy as written.
func (m Mode) Insecure() bool { return m != Standard && m != "" }

// Trust is everything that decides Envoy's TLS context towards a backend, and
// what verify.Verify decides by. Every check that has something to compare
// with must pass: the chain, the dates, a name, a leaf.
type Trust struct {
	// Policy is the BackendTLSPolicy that decides.
	Policy gwapi.Key
	// Mode is the mode in force. InsecureSkipVerification has no Anchors, Names
	// or Leaves; every other mode has Anchors or Leaves.
	Mode Mode
	// Until is when an insecure Mode lapses; zero for never. It is not part of
	// the digest: renewing it is no new trust.
	Until time.Time
	// SNI is sent to the backend: a DNS name, never an IP address or wildcard.
	SNI string
	// Anchors are the trusted certificates, DER, sorted; empty where the chain
	// is not checked. Then dates and names are not either.
	Anchors [][]byte
	// AnchorsDigest is DigestAnchors(Anchors), told by whoever made one set of
	// anchors for many backends: the system roots are 200 KB, and each Backend's
	// name covers them. "" where nobody did.
	AnchorsDigest string
	// IgnoreTime leaves out every check of validity times.
	IgnoreTime bool
	// Names: the leaf must carry one of them; empty where names are not checked.
	Names []Name
	// Leaves: the leaf must match one of them; empty where leaves are not pinned.
	Leaves []pin.Pin
	// CRLs are certificate revocation lists, DER, sorted; empty where revocation is
	// not checked. They come with Anchors only. Of the newest list of the leaf's
	// issuer the leaf must be absent, and without such a list it is refused.
	CRLs [][]byte `json:",omitzero"`
	// CRLsDigest is DigestAnchors(CRLs), as AnchorsDigest is of Anchors.
	CRLsDigest string `json:",omitzero"`
	// RevokeChain asks the same of every certificate of the path, the anchor
	// included.
	RevokeChain bool `json:",omitzero"`
	// Identity is presented to a backend that asks for a client certificate; nil for
	// none. The digest covers its certificates, never its key.
	Identity *KeyPair `json:"-"`
	// ALPN are the protocols offered.
	ALPN []string
	// MinTLSVersion is the least version to speak, as in crypto/tls; 0 is TLS 1.2,
	// below which Envoy is never asked to go. (Left out of the digest where 0:
	// what is added later must not rename every cluster.)
	MinTLSVersion uint16 `json:",omitzero"`
	// MaxTLSVersion is the highest version to speak, as in crypto/tls; 0 is TLS
	// 1.3. It is not below MinTLSVersion.
	MaxTLSVersion uint16 `json:",omitzero"`
	// Suites, Curves and SignatureAlgorithms replace what Envoy offers, most
	// preferred first, by names of CipherSuites, Curves and SignatureAlgorithms;
	// empty for Envoy's defaults. Suites are of TLS 1.2 only.
	Suites              []string `json:",omitzero"`
	Curves              []string `json:",omitzero"`
	SignatureAlgorithms []string `json:",omitzero"`
}

// NameKind is the kind of a subject alternative name.
type NameKind string

// The kinds of names that a policy can ask for.
const (
	DNS NameKind = "DNS"
	URI NameKind = "URI"
)

// Name is a subject alternative name to look for in the leaf.
type Name struct {
	Kind  NameKind
	Value string
}

// Verifies says whether any certificate could be refused.
func (t *Trust) Verifies() bool { return len(t.Anchors)+len(t.Leaves) > 0 }

// Digest identifies the trust: equal digests accept the same certificates and
// are configured alike.
func (t *Trust) Digest() string { return digest(t.canonical()) }

// canonicalTrust is what a digest covers.
type canonicalTrust struct {
	Trust

	// Presented identifies the certificates of Identity.
	Presented string `json:",omitzero"`
}

// canonical is the trust without what is not part of it, the anchors and the
// revocation lists by their digests.
func (t *Trust) canonical() *canonicalTrust {
	if t == nil {
		return nil
	}
	c := canonicalTrust{Trust: *t}
	if t.Identity != nil {
		// The certificate says which key it is.
		c.Presented = digest(t.Identity.Secret, t.Identity.Chain)
	}
	c.Until = time.Time{}
	switch {
	case len(c.Anchors) == 0:
		c.AnchorsDigest = ""
	case c.AnchorsDigest == "":
		c.AnchorsDigest = DigestAnchors(c.Anchors)
	}
	switch {
	case len(c.CRLs) == 0:
		c.CRLsDigest = ""
	case c.CRLsDigest == "":
		c.CRLsDigest = DigestAnchors(c.CRLs)
	}
	c.Anchors, c.CRLs = nil, nil
	return &c
}

// DigestAnchors identifies a set of anchors, or of CRLs, in their order: the SHA-256 of
// each one's length and content, in hex.
func DigestAnchors(anchors [][]byte) string {
	hash := sha256.New()
	var length [8]byte
	for _, der := range anchors {
		binary.BigEndian.PutUint64(length[:], uint64(len(der)))
		hash.Write(length[:])
		hash.Write(der)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// digest is the SHA-256 of the JSON of values whose encoding is deterministic:
// structs, slices and maps with string keys.
func digest(values ...any) string {
	encoded, err := json.Marshal(values)
	if err != nil {
		// Only unsupported types fail, and the callers pass none.
		return ""
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}

// Digest is the SHA-256 of the JSON of values whose encoding is deterministic.
func Digest(values ...any) string { return digest(values...) }
