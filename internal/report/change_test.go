package report_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// told is a status with our entry for gateway/default/web; no conditions mean
// no entry.
func told(texts ...string) report.Report {
	if len(texts) == 0 {
		return report.Report{}
	}
	entry := report.PolicyAncestor(webKey, conditions(texts...)...)
	stranger := entry
	stranger.ControllerName += "-of-somebody-else"
	stranger.Conditions = conditions("SecurityDegraded=True/VerificationSkipped")
	entries := report.Report{}
	return report.Report{Generation: 1, Ancestors: append(entries.Ancestors, stranger, entry)}
}

func TestWhatIsNewsAboutAPolicy(t *testing.T) {
	const (
		strict     = "SecurityDegraded=False/Strict"
		failClosed = "SecurityDegraded=False/FailClosed"
		skipped    = "SecurityDegraded=True/VerificationSkipped"
		expired    = "SecurityDegraded=True/ExpiredCertificatesAllowed"
		unknown    = "BackendsVerified=Unknown/NotProbed"
		verified   = "BackendsVerified=True/Verified"
		mismatch   = "BackendsVerified=False/PinMismatch"
		notTLS     = "BackendsVerified=False/NotTLS"
	)
	for sentence, c := range map[string]struct{ was, now, want []string }{
		"a good beginning is none":                {nil, []string{strict, unknown}, nil},
		"a bad beginning is":                      {nil, []string{skipped, mismatch}, []string{skipped + "!", mismatch + "!"}},
		"the same again is none":                  {[]string{skipped, mismatch}, []string{skipped, mismatch}, nil},
		"another mode is":                         {[]string{skipped}, []string{expired}, []string{expired + "!"}},
		"the end of a mode is":                    {[]string{skipped}, []string{strict}, []string{strict}},
		"another reason for being strict is":      {[]string{strict}, []string{failClosed}, []string{failClosed}},
		"another mismatch is":                     {[]string{mismatch}, []string{notTLS}, []string{notTLS + "!"}},
		"that it passes again is":                 {[]string{mismatch}, []string{verified}, []string{verified}},
		"that nobody knows is none":               {[]string{mismatch}, []string{unknown}, nil},
		"the first look is, if it is bad":         {[]string{unknown}, []string{mismatch}, []string{mismatch + "!"}},
		"the first look is none, if it passes":    {[]string{unknown}, []string{verified}, nil},
		"an entry that goes while degraded is":    {[]string{skipped}, nil, []string{"SecurityDegraded=/NotReached"}},
		"an entry that goes while strict is none": {[]string{strict, mismatch}, nil, nil},
		"another condition is none": {
			[]string{"Accepted=True/Accepted"}, []string{"Accepted=False/Invalid"}, nil,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var got []string
			for _, change := range report.Changes(policyKey, told(c.was...), told(c.now...)) {
				text := change.Condition + "=" + string(change.Status) + "/" + change.Reason
				if change.Bad {
					text += "!"
				}
				got = append(got, text)
				if change.Gateway != webKey {
					t.Errorf("%s is about %s", text, change.Gateway)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlyPoliciesHaveNews(t *testing.T) {
	changes := report.Changes(gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "api"), report.Report{},
		told("SecurityDegraded=True/VerificationSkipped"))
	if len(changes) > 0 {
		t.Errorf("got %+v", changes)
	}
}

func TestAMessageIsOneLine(t *testing.T) {
	now := report.Report{Ancestors: []gatewayv1.PolicyAncestorStatus{report.PolicyAncestor(webKey, metav1.Condition{
		Type: report.PolicySecurityDegraded, Status: metav1.ConditionTrue, Reason: "VerificationSkipped",
		Message: "first\nsecond\x1b[31m\u202egnirts",
	})}}
	changes := report.Changes(policyKey, report.Report{}, now)
	if len(changes) != 1 || strings.ContainsAny(changes[0].Message, "\n\x1b\u202e") {
		t.Errorf("got %+v", changes)
	}
}
