package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// asking drives to the question of a draft.
func asking(t *testing.T, draft *fakeDraft) *driver {
	t.Helper()
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90))
	service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
	service.verify = judged(passing("api"))
	d := flowing(t, service, 80, 24, newPin)
	d.until("1 key served")
	d.press("enter")
	d.until("DIFFERENCE", "Esc goes back")
	d.await(func() bool { return d.app.top().(*dialog).step.(*review).read }, "a look at the draft")
	return d
}

// TestAKeyThatWasPressedBeforeTheDraftCouldBeReadConfirmsNothing: it counts from
// when the draft was on the screen for a moment without one.
func TestAKeyThatWasPressedBeforeTheDraftCouldBeReadConfirmsNothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		ask   session.Confirmation
		keys  []string
		takes string
	}{
		{"y", session.Confirmation{Question: "Write btlspolicy/api?"}, []string{"y"}, "y writes it"},
		{"a name", session.Confirmation{Type: "api"}, []string{"api", "enter"}, "Type api to write it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			draft := pinDraft()
			draft.ask = test.ask
			service := newFake(world(failing("api")))
			service.fetch = serving(certificate("api", 90))
			service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
			service.verify = judged(passing("api"))
			d := drive(t, service, 80, 24)
			moments := make(chan struct{})
			d.app.desk.pause = func(ctx context.Context) {
				select {
				case <-moments:
				case <-ctx.Done():
				}
			}
			d.run(d.app.insert(1, newPin(d.app.desk, port("api"))))
			d.until("1 key served")
			d.press("enter")
			d.until("DIFFERENCE", "Esc goes back")
			d.hides(test.takes)
			d.press(test.keys...)
			d.shows("What was pressed before this could be read writes nothing.")
			d.hides(test.takes)

			// The moment that began with the draft is over, the one of the key is not,
			// and one of a draft that was shown before counts for nothing.
			shown := d.app.top().(*dialog).step.(*review)
			for _, over := range []seen{{of: shown, moment: 1}, {of: &review{}, moment: shown.moments}} {
				d.send(addressed{to: d.app.stack[1].number, msg: over})
				d.hides(test.takes)
			}
			d.press(test.keys[len(test.keys)-1])
			if draft.committed != 0 {
				t.Fatal("a key that was pressed too early wrote the change")
			}

			close(moments)
			d.until(test.takes)
			d.press(test.keys[len(test.keys)-1])
			d.until("VERDICTS NOW")
			if draft.committed != 1 {
				t.Errorf("committed %d times", draft.committed)
			}
		})
	}
}

func TestAKeyOnATerminalThatIsTooSmallConfirmsNothing(t *testing.T) {
	draft := pinDraft()
	d := asking(t, draft)
	d.resize(39, 24)
	d.shows("at least 40x10")
	d.press("y", "enter")
	d.resize(80, 9)
	d.press("y")
	d.resize(80, 24)
	d.shows("y writes it")
	d.press("y")
	d.until("Applied")
	if draft.committed != 1 {
		t.Errorf("committed %d times", draft.committed)
	}
}

func TestANameOnATerminalThatIsTooSmallConfirmsNothing(t *testing.T) {
	draft := pinDraft()
	draft.ask = session.Confirmation{Type: "api", Why: "this is a key change"}
	d := asking(t, draft)
	d.resize(39, 24)
	d.shows("ctrl+c quits")
	d.press("a", "p", "i")
	d.send(tea.PasteMsg{Content: "api"})
	d.press("enter")
	d.resize(80, 24)
	d.shows("Type api to write it")
	d.press("enter")
	d.shows("This is not the name")
	if draft.committed != 0 {
		t.Error("committed")
	}
}

func TestAFirstInterruptionWaitsForTheOutcomeOfAWrite(t *testing.T) {
	draft, release := pinDraft(), make(chan struct{})
	draft.commit = func(ctx context.Context) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d := asking(t, draft)
	d.press("y")
	d.until("Writing btlspolicy/api")
	d.press("ctrl+c")
	d.shows("Ctrl-C again quits without the outcome")
	close(release)
	d.until("Applied")
	if what := d.app.writing(); what != "" {
		t.Errorf("still writing %s", what)
	}
}

func TestASecondInterruptionLeavesAndSaysWhatWasBeingWritten(t *testing.T) {
	draft := pinDraft()
	draft.commit = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	d := asking(t, draft)
	d.press("y")
	d.until("Writing btlspolicy/api")
	d.press("ctrl+c", "ctrl+c")
	d.await(func() bool { return d.quit }, "the end")
	if what := d.app.writing(); what != "btlspolicy/api" {
		t.Errorf("writing %q", what)
	}
}

func TestWhatMayBeWrittenIsNotCalledNotWritten(t *testing.T) {
	for name, err := range map[string]error{
		"an answer that was lost": edit.Written(errors.New("whether btlspolicy/api is written is not known: EOF")),
		"one of two":              edit.Written(fmt.Errorf("only configmap/api-backendtls was written: %w", edit.ErrChanged)),
	} {
		t.Run(name, func(t *testing.T) {
			draft := pinDraft()
			draft.commit = func(context.Context) error { return err }
			d := asking(t, draft)
			d.press("y")
			d.until("written")
			d.hides("nothing was written", "NOT DONE")
		})
	}
}

func TestTheBannerCountsThePortWhoseModeLastsLongest(t *testing.T) {
	short, long := under(failing("api"), "InsecureSkipVerification", time.Minute),
		under(failing("api"), "InsecureSkipVerification", 8*time.Hour)
	long.Service.Port = 8443
	d := drive(t, newFake(world(short, long)), 120, 24)
	d.until("VERIFICATION OFF: svc/api, 08:00:00 left")
}

func TestTheAgeOfOldDataIsByOneClock(t *testing.T) {
	state := world(failing("api"))
	// The API server's clock is three hours ahead of this machine's.
	state.Now = noon.Add(3 * time.Hour)
	state.At = state.Now.Add(-90 * time.Second)
	state.Trouble = session.Trouble{Kind: session.Unreachable, Text: "No answer."}
	d := drive(t, newFake(state), 120, 24)
	d.until("NO ANSWER, data is 90s old")
}

func TestAVerdictIsNotKeptWhenACAIsExchangedForAnother(t *testing.T) {
	before, after := path("api"), path("api")
	before.Policy.Trust.Digest, after.Policy.Trust.Digest = "the old CA", "another CA of the same name"
	found := passing("api")
	found.Policy.Trust.Digest = before.Policy.Trust.Digest
	service := newFake(world(before))
	service.verify = answers(found)
	d := drive(t, service, 120, 24)
	d.until("api:443")
	d.press("enter")
	d.until("The endpoints were asked at", "passes: ")
	service.states <- world(after)
	d.until("what decides has changed since")
}

func TestStrangersSayNothingToTheTerminal(t *testing.T) {
	const evil = "bad\x1b[8mhidden\x1b]52;c;eA==\x07\u202e"
	service := newFake()
	service.verify = func(context.Context, cliv1alpha1.PortReference, session.Progress) (session.Probed, error) {
		return session.Probed{}, errors.New(evil)
	}
	d := drive(t, service, 120, 24, func(c *Config) { c.Scope.Namespace, c.Source = evil, "context "+evil })
	tame := func() {
		t.Helper()
		shown := d.app.View().Content
		for _, code := range []string{"\x1b[8m", "\x1b]", "\x07", "\u202e"} {
			if strings.Contains(shown, code) {
				t.Errorf("%q is in %q", code, shown)
			}
		}
	}
	tame()
	service.states <- world(failing("api"))
	d.until("api:443")
	d.press("enter")
	d.until("verify svc/")
	tame()
	d.press("e")
	d.until("message")
	tame()
}
