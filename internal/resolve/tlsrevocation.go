package resolve

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// judgeRevocation reads the revocation lists. All of them are needed: with one
// less, something revoked might be let in, or all of a CA's certificates shut out.
func (j *policyJudge) judgeRevocation() {
	options := &j.policy.options
	if len(options.crls) == 0 {
		return
	}
	field := fmt.Sprintf("spec.options[%q]", gwapi.Prefix+optionCRL)
	j.material.withCRLs = true
	j.material.revokeChain = options.crlScope == crlScopeChain
	if fault := j.withoutIssuers(); fault != "" {
		j.invalid = append(j.invalid, field+": "+fault)
		return
	}
	blind, faults := len(j.unseen), len(j.unusable)
	var lists []*x509.RevocationList
	for _, ref := range options.crls {
		lists = append(lists, j.readCRLs(field, gwapi.KeyOf(ref.kind, j.policy.key.Namespace, ref.name), ref.key)...)
	}
	for _, fault := range j.unusable[faults:] {
		j.invalid = append(j.invalid, fault.message)
	}
	if len(j.unseen) > blind || len(j.unusable) > faults {
		return
	}
	j.material.lists = newListSet(lists)
	if j.material.oversize() != nil {
		return // Nothing is verified of what will be refused for its size.
	}
	left := mostSignatures
	for _, authority := range j.material.authorities {
		fault := j.uncovered(authority, lists, &left)
		if fault == "" && j.material.revokeChain {
			fault = j.endless(authority)
		}
		if fault != "" {
			j.unusable = append(j.unusable, policyFault{report.PolicyReasonInvalidCRLRef, field + ": " + fault})
			j.invalid = append(j.invalid, field+": "+fault)
		}
	}
	j.noteTimes(field, lists)
}

// withoutIssuers says why there is nobody whose lists could be asked for, or too
// many, "" if there is.
func (j *policyJudge) withoutIssuers() string {
	switch {
	case j.material.system:
		return fmt.Sprintf("needs caCertificateRefs; with wellKnownCACertificates %s a list of every public CA "+
			"would be needed", wellKnownSystem)
	case !j.material.withCA:
		return "needs the CA of caCertificateRefs, which is not asked; without it Envoy checks no revocation"
	case len(rawCertificates(j.material.authorities)) > mostIssuers:
		return fmt.Sprintf("is for policies with at most %d CA certificates, and caCertificateRefs have %d", mostIssuers,
			len(rawCertificates(j.material.authorities)))
	default:
		return ""
	}
}

// Every list of an authority's name may be signed by it, so that few CAs and lists
// of one name are many signatures to verify, in the Build of all Gateways. Real
// ones have a name of their own each, and smaller keys.
const (
	mostIssuers    = 128
	mostSignatures = 2 * mostIssuers
)

// readCRLs reads the lists under a key of an object, and notes where they came
// from or why there are none.
func (j *policyJudge) readCRLs(field string, object gwapi.Key, key string) []*x509.RevocationList {
	found := j.bundles.getCRLs(j.gateway, object, key)
	j.note(object, found.why, fmt.Sprintf("%s key %s (%s, %s)", object, key, countLists(found.lists), found.digest),
		policyFault{report.PolicyReasonInvalidCRLRef, field + ": " + found.fault})
	return found.lists
}

// countLists says how many lists there are, and when the first of them ends.
func countLists(lists []*x509.RevocationList) string {
	text := "1 revocation list"
	if len(lists) != 1 {
		text = fmt.Sprintf("%d revocation lists", len(lists))
	}
	var first time.Time
	for _, list := range lists {
		if end := list.NextUpdate; !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	if first.IsZero() {
		return text + " without nextUpdate"
	}
	return text + ", nextUpdate " + stamp(first)
}

// uncovered says that there is no list of an authority, "" if there is. What is
// left of the policy's signatures to verify gets less.
func (j *policyJudge) uncovered(authority *x509.Certificate, lists []*x509.RevocationList, left *int) string {
	if key, ok := authority.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > largestRSA {
		return fmt.Sprintf("the CA %q has an RSA key of %d bits; lists are verified with keys of at most %d",
			authority.Subject.String(), key.N.BitLen(), largestRSA)
	}
	var broken error
	for _, list := range lists {
		if !bytes.Equal(list.RawIssuer, authority.RawSubject) {
			continue
		}
		if *left == 0 {
			return fmt.Sprintf("too many revocation lists have the name of the CA %q to find the one that it signed; remove "+
				"those of others", authority.Subject.String())
		}
		*left--
		if broken = j.bundles.check(signature{list, authority}); broken == nil {
			return ""
		}
	}
	if broken != nil {
		return fmt.Sprintf("the revocation list of the CA %q is not signed by it: %v", authority.Subject.String(), broken)
	}
	return fmt.Sprintf("has no revocation list of the CA %q of caCertificateRefs, so that all of its certificates would "+
		"be refused; add one, or remove that CA", authority.Subject.String())
}

// endless says that nobody could be asked about an authority itself, "" if it is a
// root or its issuer is trusted too: BoringSSL asks about the topmost certificate
// of a path as well, and takes no list for it but one that it signed itself.
func (j *policyJudge) endless(authority *x509.Certificate) string {
	issues := func(other *x509.Certificate) bool { return bytes.Equal(other.RawSubject, authority.RawIssuer) }
	if slices.ContainsFunc(j.material.authorities, issues) {
		return ""
	}
	return fmt.Sprintf("with %s%s %s the CA %q of caCertificateRefs would be refused itself, because its issuer %q is "+
		"not trusted; trust that instead, or use %s", gwapi.Prefix, optionCRLScope, crlScopeChain,
		authority.Subject.String(), authority.Issuer.String(), crlScopeLeaf)
}

// noteTimes records when lists begin and end, and says which have run out: of
// each issuer one list must be valid.
func (j *policyJudge) noteTimes(field string, lists []*x509.RevocationList) {
	now := j.bundles.b.snap.Now
	j.policy.revocationEnds = revocationEnds(lists)
	valid := map[string]bool{}
	for _, list := range lists {
		j.bundles.b.deadline(list.ThisUpdate)
		j.bundles.b.deadline(list.NextUpdate)
		if !now.Before(list.ThisUpdate) && (list.NextUpdate.IsZero() || now.Before(list.NextUpdate)) {
			valid[string(list.RawIssuer)] = true
		}
	}
	for _, list := range lists {
		if valid[string(list.RawIssuer)] {
			continue
		}
		// Once for each issuer.
		valid[string(list.RawIssuer)] = true
		when := "expired at " + stamp(list.NextUpdate)
		if now.Before(list.ThisUpdate) {
			when = "is not valid before " + stamp(list.ThisUpdate)
		}
		j.unusable = append(j.unusable, policyFault{report.PolicyReasonCRLExpired, fmt.Sprintf(
			"%s: the revocation list of %q %s, so that Envoy refuses every certificate that it would be asked about, "+
				"except in mode InsecureAllowExpired", field, list.Issuer.String(), when)})
	}
}
