package matrix_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// The checks by the words that docs/policy.md has for them.
const (
	isIssued = "issuer"
	isDated  = "dates"
	isNamed  = "name"
	isPinned = "pin"
	isThat   = "that certificate"
	// What is revoked is not distinguished from what no list speaks of.
	isUnrevoked = "revocation"
	// isUnrevokedAbove is what the table calls revocation too, of a policy that asks
	// about the whole chain.
	isUnrevokedAbove = "revocation above"
)

// trust is a table: what a policy trusts.
type trust struct {
	title string
	// meaning is the sentence below the title.
	meaning string
	// promise is the row of the table in docs/policy.md that it is an example of.
	promise string
	// issuers are those that it trusts, names those it asks for.
	issuers, names []string
	// wholePins: a renewed certificate with the pinned key does not match.
	wholePins bool
	// wholeChain: the intermediates must not be revoked either.
	wholeChain bool
	// validation and options are of the policy; the options without the mode.
	validation func(c *certificate) map[string]any
	options    func(c *certificate) map[string]string
}

// The names of the objects that hold the CAs, the lists and what Envoy presents.
const (
	caObject, otherObject    = "shop-ca", "other-ca"
	listsObject, spentObject = "revoked-certificates", "revoked-certificates-of-last-week"
	bundleObject             = "shop-roots"
	clientObject             = "envoy"
)

func references(names ...string) map[string]any {
	refs := make([]map[string]string, len(names))
	for i, name := range names {
		refs[i] = map[string]string{"group": "", "kind": "ConfigMap", "name": name}
	}
	return map[string]any{"hostname": host, "caCertificateRefs": refs}
}

func bundleAndAbsent(*certificate) map[string]any {
	return map[string]any{"hostname": host, "caCertificateRefs": []map[string]string{
		{"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": bundleObject},
		{"group": "", "kind": "ConfigMap", "name": "absent"},
	}}
}

func wellKnown(name string) map[string]any {
	return map[string]any{"hostname": host, "wellKnownCACertificates": name}
}

func theCA(*certificate) map[string]any      { return references(caObject) }
func system(*certificate) map[string]any     { return wellKnown("System") }
func pinnedOnly(*certificate) map[string]any { return wellKnown("backendtls.dev/PinnedOnly") }

func keyPin(c *certificate) map[string]string {
	return map[string]string{"pins": pin.OfKey(c.stands.served.Certificate).String()}
}

func trustedCertificate(c *certificate) map[string]string {
	return map[string]string{"trusted-certificates": "configmap/" + c.stands.objectName()}
}

// objectName is the ConfigMap that holds the certificate.
func (c *certificate) objectName() string {
	return "certificate-" + strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(c.title, ",", "")), " ", "-")
}

func trusts() []trust {
	both := []string{byCA, byOther, bySelf}
	return []trust{
		{
			title: "a CA", meaning: "`caCertificateRefs` names the CA.", promise: "a CA",
			issuers: []string{byCA}, names: []string{named}, validation: theCA,
		},
		{
			title:   "several CAs",
			meaning: "`caCertificateRefs` names the CA and the other CA: either may have issued the certificate.",
			promise: "a CA", issuers: []string{byCA, byOther}, names: []string{named},
			validation: func(*certificate) map[string]any { return references(caObject, otherObject) },
		},
		{
			title: "a CA in a trust bundle, and one that is not there", promise: "a CA", issuers: []string{byCA},
			names: []string{named}, validation: bundleAndAbsent,
			meaning: "`caCertificateRefs` names a ClusterTrustBundle with the CA, and a ConfigMap that does not exist: " +
				"what is there is used, and `ResolvedRefs=False` names the other.",
		},
		{
			title: "a CA and a client certificate", promise: "a CA", issuers: []string{byCA}, names: []string{named},
			meaning:    "`client-certificate` names a Secret. What Envoy presents itself changes nothing in what it accepts.",
			validation: theCA,
			options: func(*certificate) map[string]string {
				return map[string]string{"client-certificate": "secret/" + clientObject}
			},
		},
		{
			title:   "a CA and subjectAltNames",
			meaning: "`subjectAltNames` asks for the URI `" + uri + "`. The hostname is then sent, but no longer looked for.",
			promise: "a CA", issuers: []string{byCA}, names: []string{namedURI},
			validation: func(*certificate) map[string]any {
				given := references(caObject)
				given["subjectAltNames"] = []map[string]string{{"type": "URI", "uri": uri}}
				return given
			},
		},
		{
			title: "System", promise: "`System`", issuers: []string{byCA}, names: []string{named}, validation: system,
			meaning: "`wellKnownCACertificates: System`. Here the CA stands for a public one, in the ConfigMap " +
				"`backendtls-system/system-roots`.",
		},
		{
			title: "System and pins", meaning: "The same, and `pins` has the key.", promise: "`System` and pins",
			issuers: []string{byCA}, names: []string{named}, validation: system, options: keyPin,
		},
		{
			title: "a CA and pins", meaning: "`pins` has the key (`spki-sha256`).", promise: "a CA and pins",
			issuers: []string{byCA}, names: []string{named}, validation: theCA, options: keyPin,
		},
		{
			title: "a trusted certificate", promise: "`trusted-certificates`", issuers: both, names: []string{named},
			meaning:    "`trusted-certificates` names a ConfigMap with the certificate. No CA is asked.",
			validation: pinnedOnly, options: trustedCertificate,
		},
		{
			title: "a CA and a trusted certificate", meaning: "Both must pass.", promise: "a CA and `trusted-certificates`",
			issuers: []string{byCA}, names: []string{named}, validation: theCA, options: trustedCertificate,
		},
		{
			title: "pins alone", promise: "pins alone", issuers: both, names: []string{named},
			meaning:    "`pins` has the key (`spki-sha256`), and there is no CA.",
			validation: pinnedOnly, options: keyPin,
		},
		{
			title: "pins-only beside a CA", promise: "pins alone", issuers: both, names: []string{named}, wholePins: true,
			meaning: "`pins` has the certificate (`cert-sha256`), and `pins-only` says not to ask the CA.", validation: theCA,
			options: func(c *certificate) map[string]string {
				return map[string]string{"pins": pin.OfCertificate(c.stands.served.Certificate).String(), "pins-only": "true"}
			},
		},
		{
			title: "a CA and revocation lists", promise: "a CA and `crl`", issuers: []string{byCA}, names: []string{named},
			meaning:    "`crl` names a ConfigMap with the lists of the CA and of its intermediates, but one.",
			validation: theCA, options: revocation(listsObject, ""),
		},
		{
			title: "a CA and revocation lists for the chain", promise: "a CA and `crl`", issuers: []string{byCA},
			names: []string{named}, meaning: "The same, and `crl-scope` is Chain.", wholeChain: true,
			validation: theCA, options: revocation(listsObject, "Chain"),
		},
		{
			title: "a CA and expired revocation lists", promise: "a CA and `crl`", issuers: []string{byCA},
			names: []string{named}, meaning: "`crl` names lists whose nextUpdate was yesterday.",
			validation: theCA, options: revocation(spentObject, ""),
		},
		{
			title: "a CA, over TLS 1.2 at most", promise: "a CA", issuers: []string{byCA}, names: []string{named},
			meaning: "`max-tls-version` is 1.2.", validation: theCA,
			options: func(*certificate) map[string]string { return map[string]string{"max-tls-version": "1.2"} },
		},
		{
			title: "a CA, and more kinds of keys", promise: "a CA", issuers: []string{byCA}, names: []string{named},
			meaning:    "`ecdh-curves` and `signature-algorithms` name everything that there is.",
			validation: theCA, options: everyKey,
		},
	}
}

func revocation(object, scope string) func(*certificate) map[string]string {
	return func(*certificate) map[string]string {
		options := map[string]string{"crl": "configmap/" + object}
		if scope != "" {
			options["crl-scope"] = scope
		}
		return options
	}
}

// everyKey offers all that Envoy can, so that no key is refused for its kind.
func everyKey(*certificate) map[string]string {
	var curves, algorithms []string
	for _, curve := range model.Curves {
		curves = append(curves, curve.Name)
	}
	for _, algorithm := range model.SignatureAlgorithms {
		algorithms = append(algorithms, algorithm.Name)
	}
	return map[string]string{
		"ecdh-curves": strings.Join(curves, ", "), "signature-algorithms": strings.Join(algorithms, ", "),
	}
}

// policy is the BackendTLSPolicy of a cell, as JSON, which is YAML too.
func (tr *trust) policy(t *testing.T, name string, c *certificate, mode model.Mode) string {
	t.Helper()
	options := map[string]string{"backendtls.dev/mode": string(mode)}
	if tr.options != nil {
		for key, value := range tr.options(c) {
			options["backendtls.dev/"+key] = value
		}
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1",
		"kind":       "BackendTLSPolicy",
		"metadata":   map[string]string{"name": name, "namespace": "default"},
		"spec": map[string]any{
			"targetRefs": []map[string]string{{"group": "", "kind": "Service", "name": name}},
			"validation": tr.validation(c),
			"options":    options,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("---\n%s\n", text)
}
