package resolve

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// The values of spec.validation.wellKnownCACertificates.
const (
	wellKnownSystem = gatewayv1.WellKnownCACertificatesSystem
	// wellKnownPinnedOnly is pins-only for policies that have no CA. Every other
	// implementation must refuse it.
	wellKnownPinnedOnly gatewayv1.WellKnownCACertificatesType = gwapi.Prefix + "PinnedOnly"
)

// policyFault is why a condition of a policy is not True.
type policyFault struct {
	reason  report.PolicyReason
	message string
}

func (f policyFault) some() bool { return f.reason != "" }

// tlsPolicy is a BackendTLSPolicy judged by itself: everything that is the
// same on every Gateway.
type tlsPolicy struct {
	key     gwapi.Key
	object  *gatewayv1.BackendTLSPolicy
	options policyOptions
	// refused says why the policy answers 500 wherever it decides.
	refused policyFault
	// unresolved says which references cannot be used. Where others are left to
	// use, the policy is not refused because of it.
	unresolved policyFault
	// objects are what the policy names, to be recorded for every Gateway.
	objects []gwapi.Key
	// sources say which certificates were read.
	sources []string
	// shadowed is how many trusted-certificates Envoy refuses although they are
	// trusted, see verify.Shadowed.
	shadowed int
	// revocationEnds is when the first issuer has no revocation list any more.
	revocationEnds time.Time
	// written is the policy without its mode, asked the policy with it (the same
	// where no insecure mode is asked for); nil where it is refused.
	written, asked *model.Trust
}

// policyJudge collects what is wrong with one policy.
type policyJudge struct {
	bundles *bundles
	// gateway is who asks: references are recorded in its name.
	gateway  gwapi.Key
	policy   *tlsPolicy
	material trustMaterial

	invalid   []string
	untargets []string
	withoutCA []string
	unseen    []string
	unusable  []policyFault
}

// judgePolicy reads and judges a policy on behalf of a Gateway that reaches it.
func judgePolicy(bundles *bundles, gateway gwapi.Key, object *gatewayv1.BackendTLSPolicy) *tlsPolicy {
	key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, object.Namespace, object.Name)
	policy := &tlsPolicy{key: key, object: object, options: readOptions(object.Spec.Options)}
	if fault, broken := bundles.b.snap.Faults[key]; broken {
		// What else could be said of an object that is contradictory in itself
		// would only distract from that.
		policy.refused = policyFault{report.PolicyReasonInvalid, "it is not usable: " + fault}
		policy.unresolved = policyFault{report.PolicyReasonInvalid, "the references of an unusable policy are not followed"}
		return policy
	}
	judge := policyJudge{bundles: bundles, gateway: gateway, policy: policy}
	judge.material = trustMaterial{
		policy: key,
		sni:    string(object.Spec.Validation.Hostname),
		pins:   policy.options.pins,
		offer:  policy.options.offer,
	}
	judge.invalid = append(judge.invalid, policy.options.faults...)
	judge.untargets = targetFaults(bundles.b.snap, object)
	judge.judgeNames()
	judge.judgeAuthorities()
	judge.judgeTrusted()
	judge.judgeRevocation()
	judge.conclude()
	return policy
}

// judgeNames checks the hostname and the subjectAltNames.
func (j *policyJudge) judgeNames() {
	given := j.policy.object.Spec.Validation
	const field = "spec.validation.hostname"
	if fault := hostnameFault(string(given.Hostname), false); fault != "" {
		j.invalid = append(j.invalid, field+": "+fault)
	}
	if len(given.SubjectAltNames) == 0 {
		j.material.names = []model.Name{{Kind: model.DNS, Value: string(given.Hostname)}}
		return
	}
	// With subjectAltNames the hostname is what is sent as SNI, and must not
	// authenticate (gateway-api, BackendTLSPolicyValidation.hostname).
	for i, name := range given.SubjectAltNames {
		field := fmt.Sprintf("spec.validation.subjectAltNames[%d]", i)
		switch name.Type {
		case gatewayv1.HostnameSubjectAltNameType:
			if fault := hostnameFault(string(name.Hostname), true); fault != "" {
				j.invalid = append(j.invalid, field+".hostname: "+fault)
			}
			j.material.names = append(j.material.names, model.Name{Kind: model.DNS, Value: string(name.Hostname)})
		case gatewayv1.URISubjectAltNameType:
			if uri, err := url.Parse(string(name.URI)); err != nil || !uri.IsAbs() {
				j.invalid = append(j.invalid, fmt.Sprintf("%s.uri: %q is not an absolute URI such as spiffe://example.com/api",
					field, string(name.URI)))
			}
			j.material.names = append(j.material.names, model.Name{Kind: model.URI, Value: string(name.URI)})
		default:
			j.invalid = append(j.invalid, fmt.Sprintf("%s.type: %q is neither Hostname nor URI", field, name.Type))
		}
	}
	slices.SortFunc(j.material.names, compareNames)
	j.material.names = slices.Compact(j.material.names)
}

// hostnameFault says why a name is no DNS name. A wildcard is allowed where a
// certificate's name is asked for: it means a certificate that carries just
// that wildcard.
func hostnameFault(name string, wildcard bool) string {
	plain := name
	if wildcard {
		plain = strings.TrimPrefix(name, "*.")
	}
	switch {
	case name == "":
		return "is empty, want a DNS name such as api.example.com"
	case isAddress(plain):
		return fmt.Sprintf("%q is an IP address; want the DNS name in the backend's certificate "+
			"(an IP address cannot be sent as SNI, RFC 6066 section 3)", name)
	}
	if faults := validation.IsDNS1123Subdomain(plain); len(faults) > 0 {
		return fmt.Sprintf("%q is not a DNS name: %s", name, strings.Join(faults, "; "))
	}
	return ""
}

// isAddress says whether a name is an IP address, or reads as one: a name whose
// last label is all digits can be no host's (RFC 1123 section 2.1, RFC 3696
// section 2).
func isAddress(name string) bool {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// judgeAuthorities reads the CA that the policy names.
func (j *policyJudge) judgeAuthorities() {
	given := j.policy.object.Spec.Validation
	var wellKnown gatewayv1.WellKnownCACertificatesType
	if given.WellKnownCACertificates != nil {
		wellKnown = *given.WellKnownCACertificates
	}
	j.material.withCA = !j.policy.options.pinsOnly
	switch {
	case len(given.CACertificateRefs) > 0 && wellKnown != "":
		j.invalid = append(j.invalid, "spec.validation: caCertificateRefs and wellKnownCACertificates exclude each other")
	case len(given.CACertificateRefs) > 0:
		j.readAuthorities(given.CACertificateRefs)
	case wellKnown == wellKnownSystem:
		j.readSystemRoots()
	case wellKnown == wellKnownPinnedOnly:
		j.material.withCA = false
	case wellKnown == "":
		j.invalid = append(j.invalid, "spec.validation: caCertificateRefs or wellKnownCACertificates is required")
	default:
		j.invalid = append(j.invalid, fmt.Sprintf("spec.validation.wellKnownCACertificates: %q is not one of %s, %s",
			wellKnown, wellKnownSystem, wellKnownPinnedOnly))
	}
}

// readAuthorities reads the CA references. The valid ones are used; it takes at
// least one.
func (j *policyJudge) readAuthorities(refs []gatewayv1.LocalObjectReference) {
	faults := len(j.unusable)
	blind := len(j.unseen)
	for i, ref := range refs {
		field := fmt.Sprintf("spec.validation.caCertificateRefs[%d]", i)
		object, fault := authority(j.bundles.b.snap, ref.Group, ref.Kind, j.policy.key.Namespace, ref.Name)
		if fault != "" {
			j.unusable = append(j.unusable, policyFault{report.PolicyReasonInvalidKind, field + ": " + fault})
			continue
		}
		j.material.addAuthorities(j.read(field, object, caKey, report.PolicyReasonInvalidCACertificateRef))
	}
	if len(j.material.authorities) == 0 && len(j.unseen) == blind {
		for _, fault := range j.unusable[faults:] {
			j.withoutCA = append(j.withoutCA, fault.message)
		}
	}
}

func (j *policyJudge) readSystemRoots() {
	j.material.system = true
	object := systemRootsKey()
	const field = "spec.validation.wellKnownCACertificates"
	faults := len(j.unusable)
	j.material.addAuthorities(j.read(field, object, caKey, report.PolicyReasonInvalidCACertificateRef))
	for _, fault := range j.unusable[faults:] {
		j.withoutCA = append(j.withoutCA, fault.message)
	}
}

// read reads the certificates under a key of an object, and notes where they
// came from or why there are none.
func (j *policyJudge) read(field string, object gwapi.Key, key string, reason report.PolicyReason) bundle {
	found := j.bundles.get(j.gateway, object, key)
	where := fmt.Sprintf("%s key %s", object, key)
	if object.Kind == gwapi.KindClusterTrustBundle {
		where = place(object, key)
	}
	j.note(object, found.why, fmt.Sprintf("%s (%s, %s)", where, countCertificates(len(found.certificates)), found.digest),
		policyFault{reason, field + ": " + found.fault})
	return found
}

// note records an object that the policy names: what was read of it, or the fault
// for which there is nothing.
func (j *policyJudge) note(object gwapi.Key, why absence, source string, fault policyFault) {
	if !slices.Contains(j.policy.objects, object) {
		j.policy.objects = append(j.policy.objects, object)
	}
	switch why {
	case present:
		j.policy.sources = append(j.policy.sources, source)
	case unseen:
		j.unseen = append(j.unseen, fault.message)
	default:
		j.unusable = append(j.unusable, fault)
	}
}

// judgeTrusted reads trusted-certificates. The valid ones are used: one that is
// missing only narrows what is trusted. It takes at least one.
func (j *policyJudge) judgeTrusted() {
	refs := j.policy.options.trusted
	field := fmt.Sprintf("spec.options[%q]", gwapi.Prefix+optionTrusted)
	j.material.withTrusted = len(refs) > 0
	blind := len(j.unseen)
	faults := len(j.unusable)
	for _, ref := range refs {
		object := gwapi.KeyOf(ref.kind, j.policy.key.Namespace, ref.name)
		j.material.trusted = append(j.material.trusted,
			j.read(field, object, ref.key, report.PolicyReasonInvalidTrustedCertificateRef).certificates...)
	}
	if len(refs) > 0 && len(j.material.trusted) == 0 && len(j.unseen) == blind {
		for _, fault := range j.unusable[faults:] {
			j.invalid = append(j.invalid, fault.message)
		}
	}
	options := j.policy.options
	if !j.material.withCA && len(options.pins) == 0 && len(refs) == 0 && len(options.faults) == 0 {
		j.invalid = append(j.invalid, fmt.Sprintf(
			"spec: without a CA (%s%s or wellKnownCACertificates %s) at least one of %s%s, %s%s is required",
			gwapi.Prefix, optionPinsOnly, wellKnownPinnedOnly,
			gwapi.Prefix, optionPins, gwapi.Prefix, optionTrusted))
	}
}

// conclude turns what was collected into the verdict.
func (j *policyJudge) conclude() {
	policy := j.policy
	if len(j.unusable) > 0 {
		policy.unresolved = j.unusable[0]
		policy.unresolved.message = joinFaults(j.unusable)
	} else if len(j.unseen) > 0 {
		policy.unresolved = policyFault{report.PolicyReasonUnseen, report.List(j.unseen)}
	}
	if len(j.invalid)+len(j.untargets)+len(j.withoutCA)+len(j.unseen) == 0 {
		j.compose()
	}
	for _, verdict := range []struct {
		reason report.PolicyReason
		faults []string
	}{
		{report.PolicyReasonInvalid, j.invalid},
		{report.PolicyReasonTargetNotFound, j.untargets},
		{report.PolicyReasonNoValidCACertificate, j.withoutCA},
		{report.PolicyReasonUnseen, j.unseen},
	} {
		if len(verdict.faults) > 0 {
			policy.refused = policyFault{verdict.reason, report.List(verdict.faults)}
			return
		}
	}
}

// compose looks up the policy's row and column in the mode x trust table.
func (j *policyJudge) compose() {
	written, err := j.material.written()
	if err != nil {
		j.invalid = append(j.invalid, err.Error())
		return
	}
	asked, err := j.material.weakened(written, j.policy.options.mode)
	if err != nil {
		j.invalid = append(j.invalid, err.Error())
		return
	}
	if j.material.withTrusted && !j.material.withCA {
		j.policy.shadowed = j.bundles.shadowedAmong(written)
	}
	j.policy.written, j.policy.asked = written, asked
}

func countCertificates(n int) string {
	if n == 1 {
		return "1 certificate"
	}
	return fmt.Sprintf("%d certificates", n)
}

func joinFaults(faults []policyFault) string {
	messages := make([]string, len(faults))
	for i, fault := range faults {
		messages[i] = fault.message
	}
	return report.List(messages)
}
