package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// gateway is what gateway/NAME allows.
func gateway(name string, longest time.Duration, reason bool, modes ...string) session.Allowance {
	return session.Allowance{
		Gateway: cliv1alpha1.ObjectReference{Kind: "Gateway", Namespace: "shop", Name: name},
		Ours:    true, Modes: modes, Longest: longest, ReasonNeeded: reason,
		Rule: "gatewayparameters/edge in namespace infra allows it for namespaces shop and bank; " +
			"whoever may change that object may change it",
	}
}

const (
	skipAll   = "InsecureSkipVerification"
	skipDates = "InsecureAllowExpired"
	skipNames = "InsecureSkipOnlySANVerification"
)

// skips is a Service without a mode that is on, which records what is asked for.
func skips(draft *fakeDraft, allowances ...session.Allowance) (*fake, *[]session.SkipAsk) {
	service := newFake(world(failing("api")))
	service.allowances = allowances
	service.forbidden = func(action session.Action, _ cliv1alpha1.PortReference) string {
		if action == session.ActionSkipOff {
			return "no mode is on"
		}
		return ""
	}
	var asked []session.SkipAsk
	service.skipOn = func(_ context.Context, ask session.SkipAsk) (session.Draft, error) {
		asked = append(asked, ask)
		return draft, nil
	}
	service.verify = judged(under(passing("api"), skipAll, 2*time.Hour))
	return service, &asked
}

// skipDraft is what `skip-verify on` makes of svc/api.
func skipDraft() *fakeDraft {
	draft := pinDraft()
	draft.show = "CHANGES to btlspolicy/api\n  + backendtls.dev/mode InsecureSkipVerification\n\n" +
		"Any certificate is accepted: anybody on the path can read and change what is sent.\n"
	draft.ask = session.Confirmation{
		Question: "Write btlspolicy/api?", Type: "api", Why: "verification is weakened until 2026-11-21T14:00:00Z",
	}
	return draft
}

func TestSkipVerifyFromWhatIsAllowedToTheVerdicts(t *testing.T) {
	draft := skipDraft()
	service, asked := skips(draft,
		gateway("web", 4*time.Hour, true, skipAll, skipDates), gateway("internal", 0, false, skipAll, skipDates, skipNames))
	d := flowing(t, service, 80, 24, newSkip)
	d.until("What the Gateways that lead to svc/api:443 allow")
	d.pictured("skip/form")
	d.press("right")
	d.shows("[everything]", "anybody on the path can read")
	d.press("enter", "right", "right", "enter")
	d.shows("[2h]", "> Reason")
	d.press("enter")
	d.shows("a reason is needed")
	d.press("incident 4711, quietly")
	d.pictured("skip/form-filled")
	d.press("enter")
	d.until("Type api to write it")
	d.pictured("skip/review")
	if d.press("ap", "enter"); draft.committed != 0 {
		t.Fatal("half of the name wrote the change")
	}
	d.shows("This is not the name, nothing was written.")
	d.press("i")
	d.hides("This is not the name")
	d.press("enter")
	d.until("VERDICTS NOW")
	want := session.SkipAsk{Service: port("api"), For: 2 * time.Hour, Reason: "incident 4711, quietly"}
	if len(*asked) != 1 || (*asked)[0] != want {
		t.Errorf("asked for %+v", *asked)
	}
	if draft.committed != 1 {
		t.Errorf("the change was made %d times", draft.committed)
	}
}

// eraseLine is a key that erases what was typed.
var eraseLine = tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl}

func TestSkipVerifyTakesATypedDurationWithinWhatIsAllowed(t *testing.T) {
	service, asked := skips(skipDraft(), gateway("web", 90*time.Minute, false, skipDates))
	d := flowing(t, service, 80, 24, newSkip)
	d.until("[dates]")
	d.shows("1h30m")
	d.hides("everything ", " 2h ")
	d.press("enter")
	for typed, fault := range map[string]string{
		"9h": "9h is too long: gateway/web allows at most 1h30m", "1x": `"1x" is no duration`, "0s": "0s is too short",
		"99999999999999h": "is no duration",
	} {
		d.send(eraseLine)
		d.press(typed, "enter")
		d.shows(fault, "[other]")
	}
	d.send(eraseLine)
	d.press("1h 5m", "enter", "enter")
	d.until("Type api to write it")
	if want := (session.SkipAsk{Service: port("api"), Only: "expiry", For: 65 * time.Minute}); (*asked)[0] != want {
		t.Errorf("asked for %+v", *asked)
	}
	d.press("esc")
	d.shows("1h 5m", "[other]")
}

func TestWhereNothingIsAllowedNothingCanBeAskedFor(t *testing.T) {
	foreign := gateway("mesh", 0, false)
	foreign.Ours, foreign.Rule = false, "istio.io/gateway-controller ignores backendtls.dev options"
	for name, allowances := range map[string][]session.Allowance{
		"by one": {gateway("web", 0, false)}, "by both together": {gateway("web", 0, false, skipDates), gateway("b", 0, false, skipNames)},
		"by another controller": {gateway("web", 0, false, skipAll), foreign}, "by none at all": nil,
	} {
		t.Run(name, func(t *testing.T) {
			service, asked := skips(skipDraft(), allowances...)
			d := flowing(t, service, 80, 24, newSkip)
			d.until("Nothing can be skipped")
			d.pictured("skip/nothing-" + strings.ReplaceAll(name, " ", "-"))
			d.press("enter", "tab", "right", "x", "down", "enter")
			if len(*asked) != 0 {
				t.Errorf("asked for %+v", *asked)
			}
			d.press("esc")
			d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
		})
	}
}

func TestWhileAModeIsOnItsEndIsOfferedFirst(t *testing.T) {
	draft := pinDraft()
	service, asked := skips(skipDraft(), gateway("web", 0, false, skipAll))
	service.forbidden = nil
	service.states = newFake(world(under(failing("api"), skipAll, time.Hour))).states
	service.skipOff = func(context.Context, cliv1alpha1.PortReference) (session.Draft, error) { return draft, nil }
	d := flowing(t, service, 80, 24, newSkip)
	d.until("01:00:00 left)")
	d.pictured("skip/mode-on")
	d.press("down", "enter")
	d.shows("What the Gateways")
	d.press("esc", "enter")
	d.until("Write btlspolicy/api? y writes it")
	d.press("y")
	d.until("VERDICTS NOW")
	if draft.committed != 1 || len(*asked) != 0 {
		t.Errorf("ended %d times, asked for %+v", draft.committed, *asked)
	}
}

func TestTheNameIsTypedOrPastedAndConfirmedByEnterAlone(t *testing.T) {
	for name, test := range map[string]struct {
		paste string
		write bool
	}{
		"with a line break behind it":     {paste: "api\r\n", write: true},
		"with characters that are hidden": {paste: "a\x1bp\u200bi\x00", write: true},
		"with another case":               {paste: "Api"},
		"with more behind it":             {paste: "api\nenter"},
		"with a look-alike":               {paste: "аpi"},
	} {
		t.Run(name, func(t *testing.T) {
			draft := skipDraft()
			service, _ := skips(draft, gateway("web", 0, false, skipAll))
			d := flowing(t, service, 80, 24, newSkip)
			d.until("[everything]")
			d.press("enter", "enter", "enter")
			d.until("Type api to write it")
			d.send(tea.PasteMsg{Content: test.paste})
			if draft.committed != 0 {
				t.Fatal("what was pasted wrote the change")
			}
			d.press("enter")
			if test.write {
				d.until("VERDICTS NOW")
			}
			if (draft.committed == 1) != test.write {
				t.Errorf("the change was made %d times:\n%s", draft.committed, d.screen())
			}
		})
	}
}

func TestAReasonIsOneLineOfAtMost256Characters(t *testing.T) {
	service, asked := skips(skipDraft(), gateway("web", 0, true, skipAll))
	d := flowing(t, service, 80, 24, newSkip)
	d.until("[everything]")
	d.press("enter", "enter")
	d.send(tea.PasteMsg{Content: "two\nlines\tand \x1b[31mred\u202e" + strings.Repeat("界", 300)})
	d.press("enter")
	d.until("Type api to write it")
	reason := (*asked)[0].Reason
	if !strings.HasPrefix(reason, "two lines and [31mred界") || len([]rune(reason)) != 256 {
		t.Errorf("the reason is %d characters: %q", len([]rune(reason)), reason)
	}
}
