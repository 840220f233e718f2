package matrix_test

import (
	"slices"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
)

// note explains cells that could surprise somebody. It applies where everything
// that it names fits, and in one cell at least.
type note struct {
	// rows are titles of certificates, trusts titles of tables; empty for all.
	rows, trusts []string
	modes        []model.Mode
	// outcome is that of the cells, with or without the check.
	outcome outcome
	text    string
}

func (n *note) applies(c *cell, got outcome) bool {
	return (len(n.rows) == 0 || slices.Contains(n.rows, c.certificate.title)) &&
		(len(n.trusts) == 0 || slices.Contains(n.trusts, c.trust.title)) &&
		(len(n.modes) == 0 || slices.Contains(n.modes, c.mode)) &&
		(n.outcome == got || n.outcome == got.coarse())
}

// underCA are the tables in which the chain to a CA is checked.
var underCA = []string{
	"a CA", "several CAs", "a CA and subjectAltNames", "System", "System and pins", "a CA and pins",
	"a CA and a trusted certificate", "a CA and revocation lists", "a CA and revocation lists for the chain",
	"a CA and expired revocation lists", "a CA, over TLS 1.2 at most", "a CA, and more kinds of keys",
	"a CA in a trust bundle, and one that is not there", "a CA and a client certificate",
}

// verifying are the modes in which something is.
var verifying = []model.Mode{
	model.Standard, model.InsecureAllowExpired, model.InsecureSkipOnlySANVerification,
}

// notes are in the order of their numbers.
var notes = []note{
	{
		rows: []string{"wrong key usage"}, outcome: refusedByHandshake,
		text: "TLS itself demands it: a server signs the handshake with its key, and a certificate whose keyUsage does " +
			"not allow digitalSignature forbids that. Envoy refuses before it verifies anything, so no mode and no pin " +
			"helps. " +
			"Issue the certificate with digitalSignature.",
	},
	{
		rows: []string{"Ed25519", "P-521"}, outcome: refusedByHandshake,
		text: "Envoy does not offer signatures by such keys, so there is no handshake, whatever is trusted. Use RSA, P-256 " +
			"or P-384, or name `ed25519` or `ecdsa_secp521r1_sha512` beside others in `signature-algorithms`.",
	},
	{
		rows: []string{"P-384 over TLS 1.2"}, outcome: refusedByHandshake,
		text: "Up to TLS 1.2 a key must lie on a curve that Envoy offers for the key exchange, by default X25519 and P-256. " +
			"TLS 1.3 has no such rule. Let the backend speak TLS 1.3, or name P-384 beside others in `ecdh-curves`.",
	},
	{
		rows: []string{"P-384"}, trusts: []string{"a CA, over TLS 1.2 at most"}, outcome: refusedByHandshake,
		text: "As before: over TLS 1.2 the curve of the key would have to be among `ecdh-curves`.",
	},
	{
		rows: []string{"any extended key usage"}, trusts: underCA, outcome: refused,
		text: "anyExtendedKeyUsage does not stand for serverAuth: where a certificate has an extended key usage, that must " +
			"name serverAuth itself.",
	},
	{
		rows: []string{"client-auth only", "any extended key usage"}, trusts: []string{"a trusted certificate"},
		modes: verifying, outcome: accepted,
		text: "What a certificate may be used for is checked up to the trusted one. This one is itself trusted, so nothing " +
			"is left to check.",
	},
	{
		rows: []string{"not yet valid"}, modes: []model.Mode{model.InsecureAllowExpired}, outcome: accepted,
		text: "The mode leaves out every check of times: a certificate that is not valid yet passes like one that has " +
			"expired, and so do its issuers.",
	},
	{
		rows: []string{"expired intermediate"}, trusts: []string{"a trusted certificate"},
		outcome: refused,
		text: "The certificate is trusted, but what the backend sends above it belongs to the path all the same, and its " +
			"dates are checked. A backend that sends its certificate alone is accepted.",
	},
	{
		rows: []string{"chain without intermediate"}, trusts: underCA, outcome: refused,
		text: "Envoy fetches no intermediate, and remembers none from other connections. Browsers do, which is why such a " +
			"backend seems to work. Let it send its chain, or add the intermediate to the CA.",
	},
	{
		rows: []string{"no SAN"}, trusts: underCA, outcome: refused,
		text: "The common name does not count: only subject alternative names do.",
	},
	{
		rows: []string{"IP-only SAN"}, trusts: underCA, outcome: refused,
		text: "The hostname of a policy is a DNS name, and an address in the certificate is none, even if it is the very " +
			"address that Envoy connects to.",
	},
	{
		rows: []string{"wildcard SAN"}, outcome: accepted, modes: []model.Mode{model.Standard}, trusts: []string{"a CA"},
		text: "A wildcard of the certificate stands for one label. A wildcard in the policy's subjectAltNames stands for " +
			"nothing but itself.",
	},
	{
		trusts: []string{"a CA and subjectAltNames"}, rows: []string{"good"}, outcome: refused,
		text: "With subjectAltNames the hostname is no longer looked for: one of those names must be in the certificate.",
	},
	{
		rows: []string{"RSA-1024"}, outcome: accepted, modes: []model.Mode{model.Standard}, trusts: []string{"a CA"},
		text: "Envoy asks for no least size of a backend's RSA key, nor of its issuers'. It is the CA's to refuse short ones.",
	},
	{
		rows: []string{"good, renewed with its key"}, outcome: accepted,
		trusts: []string{"System and pins", "a CA and pins", "pins alone"}, modes: []model.Mode{model.Standard},
		text: "A pin of the key (`spki-sha256`) outlives a renewal that keeps the key. A pin of the certificate " +
			"(`cert-sha256`) and `trusted-certificates` do not.",
	},
	{
		rows: []string{"revoked intermediate"}, trusts: []string{"a CA and revocation lists"}, outcome: accepted,
		modes: verifying,
		text: "By default only the backend's own certificate is looked for in the lists. With `crl-scope: Chain` every " +
			"certificate is, the CA's own included, and each one needs a list of its issuer.",
	},
	{
		rows:   []string{"without a revocation list"},
		trusts: []string{"a CA and revocation lists", "a CA and revocation lists for the chain"}, outcome: refused,
		text: "A certificate that no list could speak of is refused like one that is revoked. What is missing is the list " +
			"of its intermediate: add that to `crl`.",
	},
	{
		trusts: []string{"a CA and expired revocation lists"}, outcome: refusedBy(verify.KindRevocation),
		modes: []model.Mode{model.Standard, model.InsecureSkipOnlySANVerification},
		text: "Past its nextUpdate a list says nothing any more, and nobody is let in. Status says so beforehand: the time " +
			"is in ResolvedRefs.",
	},
	{
		trusts: []string{"a CA and expired revocation lists"}, modes: []model.Mode{model.InsecureAllowExpired},
		rows: []string{"good"}, outcome: accepted,
		text: "The mode leaves out the dates of revocation lists too. What they say counts: a revoked certificate is refused.",
	},
	{
		trusts: []string{"System"}, modes: []model.Mode{model.InsecureSkipOnlySANVerification}, outcome: invalid,
		text: "Anybody can get a certificate from a public CA, so that without the name nothing would tell the backend from " +
			"anybody else. The policy is refused, and requests get a 500.",
	},
	{
		trusts: []string{"pins alone", "pins-only beside a CA"}, outcome: invalid,
		text: "Pins alone check neither dates nor names, so there is nothing that this mode could leave out. The policy is " +
			"refused, and requests get a 500.",
	},
}
