package resolve

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// degradedCondition is SecurityDegraded. It turns True before the first Envoy
// loosens, and False only when no expected Envoy can be using what it names.
func (p *tlsPolicies) degradedCondition(s *tlsStanding, gateway *model.Gateway) metav1.Condition {
	if s.told.Insecure() {
		return report.PolicyDegraded(modeReason(s.told), s.degradation(p.b.snap.Now, p.strictly(s, gateway)))
	}
	switch {
	case s.refused.some() && len(s.ports) > 0:
		return report.PolicyNotDegraded(report.PolicyReasonFailClosed,
			"requests answer 500 and no backend is connected to, because of Accepted=False")
	case s.trust == nil || len(s.ports) == 0:
		return report.PolicyNotDegraded(report.PolicyReasonStrict,
			fmt.Sprintf("%s, so nothing is verified less because of it", s.deciding()))
	case s.state == model.ModeNotStarted:
		return report.PolicyNotDegraded(report.PolicyReasonModeNotStarted, fmt.Sprintf("%s starts at %s%s; now %s",
			s.request.mode, stamp(s.request.since), ending(s.request.until), checks(s.trust)))
	case s.state == model.ModeExpired:
		return report.PolicyNotDegraded(report.PolicyReasonModeExpired,
			expiredPrefix(s.request)+"; now "+checks(s.trust))
	case len(s.trust.Anchors) == 0:
		return report.PolicyNotDegraded(report.PolicyReasonPinned, checks(s.trust))
	default:
		return report.PolicyNotDegraded(report.PolicyReasonStrict, checks(s.trust))
	}
}

func ending(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " and ends at " + stamp(until)
}

// degradation says what is not checked, since when, until when and why, and
// whether all that would be necessary.
func (s *tlsStanding) degradation(now time.Time, strictly string) string {
	parts := []string{fmt.Sprintf("%s: %s", s.told, unchecked(s.told))}
	if len(s.holders) > 0 {
		parts = append(parts, "still so because Envoy has not acknowledged its end: "+strings.Join(s.holders, "; "))
	}
	if s.told == s.request.mode {
		since := "not given"
		if !s.request.since.IsZero() {
			since = stamp(s.request.since)
		}
		until := "not given"
		if !s.request.until.IsZero() {
			until = stamp(s.request.until)
		}
		parts = append(parts, fmt.Sprintf("since %s, until %s", since, until))
	}
	parts = append(parts, "continuously since "+stamp(s.continuouslySince(now)))
	if s.told == s.request.mode {
		reason := "reason: not given"
		if s.request.reason != "" {
			reason = fmt.Sprintf("reason: %q", s.request.reason)
		}
		parts = append(parts, reason)
	}
	return strings.Join(append(parts, strictly), "; ")
}

// continuouslySince is when SecurityDegraded turned True, however often the
// mode was renewed or changed since.
func (s *tlsStanding) continuouslySince(now time.Time) time.Time {
	condition, found := s.live.find(report.PolicySecurityDegraded)
	if found && condition.Status == metav1.ConditionTrue && !condition.LastTransitionTime.IsZero() {
		return condition.LastTransitionTime.Time
	}
	return now
}

// checks says what a strict trust looks at.
func checks(trust *model.Trust) string {
	pins := ""
	switch len(trust.Leaves) {
	case 0:
	case 1:
		pins = "match the one trusted fingerprint"
	default:
		pins = fmt.Sprintf("match one of %d trusted fingerprints", len(trust.Leaves))
	}
	if len(trust.Anchors) == 0 {
		return "the certificate must " + pins + "; its issuer, its dates and its name are not checked"
	}
	if pins != "" {
		pins = ", and the certificate must " + pins
	}
	what := "issuer, dates and name of the certificate are checked"
	switch {
	case len(trust.CRLs) > 0 && trust.RevokeChain:
		what += ", and whether anything of its chain is revoked"
	case len(trust.CRLs) > 0:
		what = "issuer, dates, name and revocation of the certificate are checked"
	}
	return what + pins
}
