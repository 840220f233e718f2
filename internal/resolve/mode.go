package resolve

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// modeReasons name the modes in SecurityDegraded=True.
func modeReason(mode model.Mode) report.PolicyReason {
	switch mode {
	case model.InsecureAllowExpired:
		return report.PolicyReasonExpiredCertificatesAllowed
	case model.InsecureSkipOnlySANVerification:
		return report.PolicyReasonSANVerificationSkipped
	case model.InsecureSkipVerification:
		return report.PolicyReasonVerificationSkipped
	case model.Standard:
		return report.PolicyReasonStrict
	default:
		return report.PolicyReasonStrict
	}
}

// modeOf is the mode that a reason of SecurityDegraded=True names, Standard if
// it names none.
func modeOf(reason string) model.Mode {
	for _, mode := range model.Modes[1:] {
		if string(modeReason(mode)) == reason {
			return mode
		}
	}
	return model.Standard
}

// unchecked says for people what a mode leaves out.
func unchecked(mode model.Mode) string {
	switch mode {
	case model.InsecureAllowExpired:
		return "validity times are not checked, neither of the certificate nor of its issuers"
	case model.InsecureSkipOnlySANVerification:
		return "the name in the certificate is not checked"
	case model.InsecureSkipVerification:
		return "no certificate is verified: not its issuer, dates or name, nor any pin"
	case model.Standard:
		return ""
	default:
		return ""
	}
}

// standModeState says where the request stands at a time:
//
//	refused ──────────────► Refused: 500, also after until
//	   │ its own status names it, and until is over
//	   ▼
//	Expired ◄── until ── Active ◄── status names it ── Announced ◄── since ── NotStarted
//
// A mode enters the model (Active) only when the live status of the policy on
// that Gateway says SecurityDegraded=True for that mode, at any generation, so
// that another edit does not make it blink: what cannot be said in status is
// not weakened. Leaving it never waits.
func standModeState(request modeRequest, refused bool, live liveEntry, now time.Time) model.ModeState {
	over := !request.until.IsZero() && !now.Before(request.until)
	switch {
	case refused && over && live.wasInForce(request):
		return model.ModeExpired
	case refused:
		return model.ModeRefused
	case over:
		return model.ModeExpired
	case now.Before(request.since):
		return model.ModeNotStarted
	case live.degraded() == request.mode:
		return model.ModeActive
	default:
		return model.ModeAnnounced
	}
}

// liveEntry is the conditions of our entry for one Gateway in a policy's
// status, as they were read; nil if there is none.
type liveEntry []metav1.Condition

func (l liveEntry) find(kind string) (metav1.Condition, bool) {
	for _, condition := range l {
		if condition.Type == kind {
			return condition, true
		}
	}
	return metav1.Condition{}, false
}

// degraded is the mode that SecurityDegraded=True names, Standard if it does
// not say so.
func (l liveEntry) degraded() model.Mode {
	condition, found := l.find(report.PolicySecurityDegraded)
	if !found || condition.Status != metav1.ConditionTrue {
		return model.Standard
	}
	return modeOf(condition.Reason)
}

// wasInForce says whether status names the requested mode as one that was in
// force: still degraded by it, or expired by it. Both only ever lead to strict
// verification.
func (l liveEntry) wasInForce(request modeRequest) bool {
	if l.degraded() == request.mode {
		return true
	}
	condition, found := l.find(report.PolicySecurityDegraded)
	return found && condition.Reason == string(report.PolicyReasonModeExpired) &&
		strings.HasPrefix(condition.Message, expiredPrefix(request))
}

// expiredPrefix starts the message of ModeExpired. wasInForce reads it back, so
// that a mode that has run its time stays expired, and does not become refused,
// when the Gateway stops allowing it later.
func expiredPrefix(request modeRequest) string {
	return fmt.Sprintf("%s ended at %s", request.mode, stamp(request.until))
}
