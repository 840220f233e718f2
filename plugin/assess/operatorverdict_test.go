package assess

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

func TestTheOperatorsVerdictIsReadUnderTheModeInForce(t *testing.T) {
	for _, c := range []struct {
		status, reason string
		mode           model.Mode
		want           string
		code           int
		strict         string
	}{
		{"True", "Verified", model.Standard, Passes, 0, Passes},
		{"True", "Verified", model.InsecureSkipVerification, Passes, 0, Passes},
		{"False", "CertificateExpiring", model.Standard, Passes, 0, Passes},
		{"False", "UntrustedIssuer", model.Standard, Fails, 503, Fails},
		{"False", "MixedCertificates", model.Standard, Mixed, 503, Mixed},
		{"False", "Unreachable", model.Standard, Unreachable, 0, Unreachable},
		{"False", "UntrustedIssuer", model.InsecureSkipVerification, Passes, 0, Fails},
		{"False", "MixedCertificates", model.InsecureSkipVerification, Passes, 0, Mixed},
		{"False", "NotTLS", model.InsecureSkipVerification, Fails, 503, Fails},
		{"False", "Unreachable", model.InsecureSkipVerification, Unreachable, 0, Unreachable},
		{"False", "CertificateExpired", model.InsecureAllowExpired, NotProbed, 0, Fails},
		{"True", "Verified", model.InsecureAllowExpired, Passes, 0, Passes},
		{"Unknown", "NotProbed", model.Standard, NotProbed, 0, NotProbed},
	} {
		t.Run(c.status+" "+c.reason+" under "+string(c.mode), func(t *testing.T) {
			verified := &cliv1alpha1.Condition{
				Type: "BackendsVerified", Status: c.status, Reason: c.reason, Message: "said", Source: sourceOperator,
			}
			got := unasked(verified, c.mode)
			if got.Result != c.want || got.Status != c.code {
				t.Errorf("got %+v, want %s %d", got, c.want, c.code)
			}
			if strict := strictVerdict(verified); strict != c.strict {
				t.Errorf("strictly %s, want %s", strict, c.strict)
			}
			verified.Source = sourceComputed
			if got := unasked(verified, c.mode); got.Result != NotProbed {
				t.Errorf("what nobody wrote is taken for %+v", got)
			}
		})
	}
	if got := unasked(nil, model.Standard); got.Result != NotProbed {
		t.Errorf("without a status: %+v", got)
	}
}

func TestANewerVerdictOfTheOperatorOvertakesAnOlderAnswer(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name           string
		status, reason string
		changed        time.Time
		found          cliv1alpha1.Verdict
		want           bool
	}{
		{"it failed since", "False", "PinMismatch", noon.Add(time.Minute), cliv1alpha1.Verdict{Result: Passes}, true},
		{"it failed before", "False", "PinMismatch", noon.Add(-time.Minute), cliv1alpha1.Verdict{Result: Passes}, false},
		{"it passes since", "True", "Verified", noon.Add(time.Minute), cliv1alpha1.Verdict{Result: Fails}, true},
		{"both say that it fails", "False", "PinMismatch", noon.Add(time.Minute), cliv1alpha1.Verdict{Result: Fails}, false},
		{"nobody knows", "Unknown", "NotProbed", noon.Add(time.Minute), cliv1alpha1.Verdict{Result: Passes}, false},
		{
			"under a mode both say that it would fail", "False", "PinMismatch", noon.Add(time.Minute),
			cliv1alpha1.Verdict{Result: Passes, Strict: Fails},
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := cliv1alpha1.Path{Conditions: []cliv1alpha1.Condition{{
				Type: "BackendsVerified", Status: c.status, Reason: c.reason, Source: sourceOperator,
				LastTransitionTime: &metav1.Time{Time: c.changed},
			}}}
			if got := Overtaken(path, noon, c.found); got != c.want {
				t.Errorf("overtaken: %t, want %t", got, c.want)
			}
		})
	}
}
