package verify

import (
	"fmt"
	"slices"
)

// CheckKind names one of the checks that Envoy makes.
type CheckKind string

// The checks, in the order in which Verify returns them.
const (
	// KindHandshake: the certificate can be used in a TLS handshake with Envoy
	// at all. No mode switches this off.
	KindHandshake CheckKind = "Handshake"
	// KindChain: a path of signatures leads to a trusted certificate.
	KindChain CheckKind = "Chain"
	// KindDates: now is within the validity of every certificate of the path.
	KindDates CheckKind = "Dates"
	// KindUsage: the certificates below the trusted one allow a TLS server.
	KindUsage CheckKind = "Usage"
	// KindRevocation: no certificate that is to be asked about is revoked. Verify
	// returns it only where the trust has revocation lists.
	KindRevocation CheckKind = "Revocation"
	// KindName: the leaf carries one of the expected names.
	KindName CheckKind = "Name"
	// KindLeaf: the leaf is a pinned one.
	KindLeaf CheckKind = "Leaf"
)

// Kinds lists every kind in the order of Verify.
var Kinds = []CheckKind{KindHandshake, KindChain, KindDates, KindUsage, KindRevocation, KindName, KindLeaf}

// Outcome is how a check ended.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "Pass"
	Fail Outcome = "Fail"
	// NotChecked: Envoy does not make this check under the trust, or it could
	// not be made here; the message says which.
	NotChecked Outcome = "NotChecked"
)

// Reason is a reason of the BackendsVerified condition.
type Reason string

// The reasons that one endpoint can give.
const (
	Verified            Reason = "Verified"
	CertificateMismatch Reason = "CertificateMismatch"
	PinMismatch         Reason = "PinMismatch"
	CertificateExpired  Reason = "CertificateExpired"
	HostnameMismatch    Reason = "HostnameMismatch"
	UntrustedIssuer     Reason = "UntrustedIssuer"
	CertificateRevoked  Reason = "CertificateRevoked"
	// CRLExpired: the revocation list is past its nextUpdate, or not valid yet, so
	// that nothing it could say would count.
	CRLExpired Reason = "CRLExpired"
	// RevocationUnknown: there is no revocation list that could be asked.
	RevocationUnknown Reason = "RevocationUnknown"
	NotTLS            Reason = "NotTLS"
	Unreachable       Reason = "Unreachable"
)

// precedence orders the reasons by how much they explain: an endpoint that is
// not there before a foreign key, a foreign key before what follows from it.
var precedence = []Reason{
	Unreachable, NotTLS, PinMismatch, CertificateMismatch, UntrustedIssuer, CertificateRevoked, CRLExpired,
	RevocationUnknown, CertificateExpired, HostnameMismatch,
}

// Check is the outcome of one check.
type Check struct {
	Kind    CheckKind
	Outcome Outcome
	// Reason is set where Outcome is Fail.
	Reason Reason
	// Message says for a person what was expected and what was presented. Text
	// that a certificate or peer chose is quoted.
	Message string
}

// Accepts says whether Envoy would take the connection: no check failed. No
// checks at all accept nothing.
func Accepts(checks []Check) bool {
	return len(checks) > 0 && !slices.ContainsFunc(checks, func(c Check) bool { return c.Outcome == Fail })
}

// Verdict is the reason that explains most of what failed, Verified if nothing
// did.
func Verdict(checks []Check) Reason {
	for _, reason := range precedence {
		if slices.ContainsFunc(checks, func(c Check) bool { return c.Outcome == Fail && c.Reason == reason }) {
			return reason
		}
	}
	if !Accepts(checks) {
		return CertificateMismatch
	}
	return Verified
}

func passed(kind CheckKind, format string, args ...any) Check {
	return Check{Kind: kind, Outcome: Pass, Message: fmt.Sprintf(format, args...)}
}

func failed(kind CheckKind, reason Reason, format string, args ...any) Check {
	return Check{Kind: kind, Outcome: Fail, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func notChecked(kind CheckKind, format string, args ...any) Check {
	return Check{Kind: kind, Outcome: NotChecked, Message: fmt.Sprintf(format, args...)}
}
