package assess

import (
	"net/http"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/verify"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// unasked is the operator's verdict, if it has one, where nobody asked an
// endpoint. The operator judges by the policy as written; what that means under a
// mode is said here.
func unasked(verified *cliv1alpha1.Condition, mode model.Mode) cliv1alpha1.Verdict {
	if verified == nil || verified.Source != sourceOperator {
		return cliv1alpha1.Verdict{Result: NotProbed}
	}
	verdict := cliv1alpha1.Verdict{Reason: verified.Reason, Message: verified.Message}
	switch strict := strictVerdict(verified); {
	case strict == Passes:
		verdict.Result = Passes
	case strict == NotProbed:
		return cliv1alpha1.Verdict{Result: NotProbed}
	case mode == model.InsecureSkipVerification && speaksTLS(verified):
		return cliv1alpha1.Verdict{Result: Passes}
	case mode.Insecure() && speaksTLS(verified):
		verdict.Result = NotProbed
		verdict.Message = "what the mode makes of it is not known; by the policy as written: " + verified.Message
	case strict == Unreachable:
		// Envoy connects from elsewhere: what becomes of requests is not known.
		verdict.Result = Unreachable
		verdict.Message = "the operator could not reach the endpoints, and Envoy may all the same: requests may pass or " +
			"fail; " + verified.Message
	default:
		verdict.Result, verdict.Status = strict, http.StatusServiceUnavailable
	}
	return verdict
}

// strictVerdict is what the operator says of the policy as written, as a result.
func strictVerdict(verified *cliv1alpha1.Condition) string {
	switch {
	case verified == nil || verified.Source != sourceOperator:
		return NotProbed
	case verified.Status == "True", verified.Reason == string(report.PolicyReasonCertificateExpiring):
		return Passes
	case verified.Status != "False":
		return NotProbed
	case verified.Reason == string(report.PolicyReasonMixedCertificates):
		return Mixed
	case verified.Reason == string(verify.Unreachable):
		return Unreachable
	default:
		return Fails
	}
}

// speaksTLS says whether what is wrong is about certificates.
func speaksTLS(verified *cliv1alpha1.Condition) bool {
	return verified.Reason != string(verify.NotTLS) && verified.Reason != string(verify.Unreachable)
}

// toldMode is the mode that is in force by the operator's status.
func toldMode(conditions []cliv1alpha1.Condition) model.Mode {
	said := find(conditions, report.PolicySecurityDegraded)
	if said == nil || said.Source != sourceOperator || said.Status != "True" {
		return model.Standard
	}
	switch report.PolicyReason(said.Reason) {
	case report.PolicyReasonSANVerificationSkipped:
		return model.InsecureSkipOnlySANVerification
	case report.PolicyReasonExpiredCertificatesAllowed:
		return model.InsecureAllowExpired
	default:
		return model.InsecureSkipVerification
	}
}

// Overtaken says whether the operator found the endpoints of a path to be
// otherwise after they were asked: its verdict changed, and says something else
// than theirs.
func Overtaken(path cliv1alpha1.Path, asked time.Time, found cliv1alpha1.Verdict) bool {
	verified := find(path.Conditions, report.PolicyBackendsVerified)
	if verified == nil || verified.Source != sourceOperator || verified.LastTransitionTime == nil ||
		!verified.LastTransitionTime.After(asked) {
		return false
	}
	strict := strictVerdict(verified)
	before := found.Result
	if found.Strict != "" {
		before = found.Strict
	}
	return strict != NotProbed && (strict == Passes) != (before == Passes)
}
