package tui

import (
	"context"
	"errors"
	"fmt"
	"testing"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// keyChange is a Service of which somebody else answers than what is pinned.
func keyChange(draft *fakeDraft) *fake {
	service := newFake(world(failing("api")))
	service.fetch = serving(unlike("api", 30), unlike("api", 30))
	service.pins = []session.LivePin{
		{Pin: certificate("api", 90).SPKISHA256, State: "stale"}, {Pin: certificate("api", 90).CertSHA256, State: "stale"},
	}
	draft.show = "KEY CHANGE: no endpoint serves what is pinned now\n"
	draft.ask = session.Confirmation{
		Question: "Write btlspolicy/api?", Type: "api", Why: "this is a key change: no endpoint serves what is pinned",
	}
	service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
	service.verify = judged(passing("api"))
	return service
}

func TestAKeyChangeShowsOldAndNewSideBySideAndWantsTheName(t *testing.T) {
	draft := pinDraft()
	d := flowing(t, keyChange(draft), 80, 24, newPin)
	d.until("KEY CHANGE", "PINNED", "SERVED")
	d.pictured("pin/keychange")
	d.press("enter")
	d.until("Type api to write it")
	d.pictured("pin/keychange-review")
	d.press("y", "enter")
	d.shows("This is not the name, nothing was written.")
	d.press("backspace", "api", "enter")
	d.until("VERDICTS NOW")
	if draft.committed != 1 {
		t.Errorf("the change was made %d times", draft.committed)
	}
}

func TestAKeyChangeOnANarrowTerminalIsOneBelowTheOther(t *testing.T) {
	d := flowing(t, keyChange(pinDraft()), 40, 30, newPin)
	d.until("KEY CHANGE")
	d.pictured("pin/keychange-narrow")
}

func TestTheFormSaysWhatIsPinnedAndWhenThatBreaks(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90), nil)
	service.pins = []session.LivePin{{Pin: certificate("api", 90).SPKISHA256, State: "live"}, {Pin: "cert-sha256:00", State: "next"}}
	d := flowing(t, service, 80, 24, newPin)
	d.until("[spki]")
	d.shows("Public keys", "due by 2027-02-19", "already pinned", "NO LONGER PINNED AFTERWARDS", "cert-sha256:00, next",
		"NO CERTIFICATE from 1 endpoint", "connection refused")
	for _, want := range []string{"[certificate]", "[leaf]", "[ca]", "[spki]"} {
		d.press("tab")
		d.shows(want)
	}
	d.press("shift+tab")
	d.shows("[ca]", "Broken by certificates of another CA", "that pin is replaced")
	d.press("space", "enter")
	d.shows("Nothing is selected")
}

// changedOnce drafts what cannot be committed the first time.
func changedOnce(at string, wrong error) (*fake, *[]session.PinAsk) {
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90), unlike("api", 30))
	service.verify = judged(passing("api"))
	var asked []session.PinAsk
	service.pin = func(_ context.Context, ask session.PinAsk) (session.Draft, error) {
		asked = append(asked, ask)
		draft := pinDraft()
		if len(asked) == 1 && at == "draft" {
			return nil, wrong
		}
		if len(asked) == 1 {
			draft.commit = func(context.Context) error { return wrong }
		}
		return draft, nil
	}
	return service, &asked
}

func TestWhatChangedMeanwhileStartsAgainWithWhatWasChosen(t *testing.T) {
	for _, at := range []string{"draft", "commit"} {
		t.Run(at, func(t *testing.T) {
			service, asked := changedOnce(at, fmt.Errorf("nothing was written: btlspolicy/api: %w", edit.ErrChanged))
			d := flowing(t, service, 80, 24, newPin)
			d.until("2 keys served")
			d.press("tab", "down", "space", "enter")
			if at == "commit" {
				d.until("Write btlspolicy/api? y writes it")
				d.press("y")
			}
			d.until("CHANGED MEANWHILE")
			d.pictured("pin/changed-" + at)
			d.press("r")
			d.until("2 keys served", "[certificate]", "[ ] "+unlike("api", 30).SPKISHA256)
			d.press("enter")
			d.until("Write btlspolicy/api? y writes it")
			d.press("y")
			d.until("VERDICTS NOW")
			first, second := (*asked)[0], (*asked)[1]
			if first.Form != second.Form || len(first.Keys) != 1 || len(second.Keys) != 1 || first.Keys[0] != second.Keys[0] {
				t.Errorf("asked first for %+v, then for %+v", first, second)
			}
		})
	}
}

func TestAChangeThatFailsSaysSo(t *testing.T) {
	service, _ := changedOnce("commit", errors.New("only configmap/api-backendtls was written: admission refused the rest"))
	d := flowing(t, service, 80, 24, newPin)
	d.until("2 keys served")
	d.press("enter")
	d.until("Write btlspolicy/api? y writes it")
	d.press("y")
	d.until("THE CHANGE FAILED", "only configmap/api-backendtls was written")
	d.press("esc")
	d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
}

func TestARefusalIsShownWholeAndLeadsBack(t *testing.T) {
	long := "btlspolicy/api has 2 targets, and the change would hold for all of them: split it\n---\n"
	for i := range 40 {
		long += fmt.Sprintf("line %d:\n  indented: true\n", i)
	}
	service, _ := changedOnce("draft", errors.New(long))
	d := flowing(t, service, 80, 24, newPin)
	d.until("2 keys served")
	d.press("enter")
	d.until("NOT DONE")
	d.pictured("pin/refused")
	d.press("end")
	d.shows("line 39:", "  indented: true", "Esc leads back to the choice")
	d.press("home")
	d.shows("has 2 targets")
	d.press("esc")
	d.shows("2 keys served")
}

func TestWhereNobodyServesACertificateThereIsNothingToPin(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch = serving(nil, nil)
	d := flowing(t, service, 80, 24, newPin)
	d.until("there is nothing to pin", "10.0.0.2:8443 (api-1): Unreachable connection refused")
	service.fetch = serving(certificate("api", 90))
	d.press("r")
	d.until("1 key served")
}

func TestAChangeThatChangesNothingCannotBeWritten(t *testing.T) {
	draft := pinDraft()
	draft.idle, draft.show = true, "btlspolicy/api has just that already: nothing is to be written.\n"
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90))
	service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
	d := flowing(t, service, 80, 24, newPin)
	d.until("1 key served")
	d.press("enter")
	d.until("Nothing is to be written")
	d.pictured("pin/idle")
	d.press("y")
	d.shows("Nothing is to be written")
	d.press("enter")
	d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
	if draft.committed != 0 {
		t.Error("it was written")
	}
}

// held is a call that is held until it is let go, or its context ends.
type held struct {
	begun, ended chan struct{}
	outcome      chan error
}

func hold() *held {
	return &held{begun: make(chan struct{}, 1), ended: make(chan struct{}, 1), outcome: make(chan error, 1)}
}

func (h *held) call(ctx context.Context) error {
	h.begun <- struct{}{}
	defer func() { h.ended <- struct{}{} }()
	select {
	case err := <-h.outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await takes messages until it has begun.
func (h *held) await(d *driver) {
	d.t.Helper()
	for {
		select {
		case <-h.begun:
			return
		case msg := <-d.messages:
			d.send(msg)
		case <-d.t.Context().Done():
			d.t.Fatal("the call did not begin")
		}
	}
}

// holding answers Fetch once it is let go.
func holding(h *held) func(context.Context, cliv1alpha1.PortReference, session.Progress) (session.Fetched, error) {
	return func(ctx context.Context, port cliv1alpha1.PortReference, _ session.Progress) (session.Fetched, error) {
		return session.Fetched{Service: port}, h.call(ctx)
	}
}

func TestEscEndsWhatIsUnderWay(t *testing.T) {
	asking := hold()
	service := newFake(world(failing("api")))
	service.fetch = func(
		ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
	) (session.Fetched, error) {
		progress(1, 3, "")
		progress(2, 3, "")
		return session.Fetched{Service: port}, asking.call(ctx)
	}
	for name, open := range map[string]func(*desk, cliv1alpha1.PortReference) screen{
		"pin": newPin, "unpin": newUnpin, "rotate": newRotate,
	} {
		d := flowing(t, service, 80, 24, open)
		asking.await(d)
		d.until("2 of 3")
		if name == "pin" {
			d.pictured("pin/asking")
		}
		d.press("esc")
		<-asking.ended
		d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
	}
}

func TestEscWhileAChangeIsWorkedOutLeadsBackToTheChoice(t *testing.T) {
	drafting := hold()
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90))
	service.pin = func(ctx context.Context, _ session.PinAsk) (session.Draft, error) {
		return nil, drafting.call(ctx)
	}
	d := flowing(t, service, 80, 24, newPin)
	d.until("1 key served")
	d.press("enter")
	drafting.await(d)
	d.shows("Working out the change")
	d.press("esc")
	<-drafting.ended
	d.shows("1 key served")
}

// reviewed is at the question of a draft.
func reviewed(t *testing.T, draft *fakeDraft) *driver {
	t.Helper()
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90))
	service.verify = judged(passing("api"))
	service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
	d := flowing(t, service, 80, 24, newPin)
	d.until("1 key served")
	d.press("enter")
	d.until("Write btlspolicy/api? y writes it")
	return d
}

func TestEscDoesNotPretendToTakeBackWhatIsBeingWritten(t *testing.T) {
	draft, writing := pinDraft(), hold()
	draft.commit = writing.call
	d := reviewed(t, draft)
	d.press("y")
	writing.await(d)
	d.shows("Writing btlspolicy/api")
	d.press("esc", "q", "y", "?")
	d.shows("Esc does not take it back")
	d.pictured("pin/writing")
	if d.quit || len(writing.ended) != 0 {
		t.Fatal("the write was given up")
	}
	writing.outcome <- nil
	d.until("VERDICTS NOW")
	if draft.committed != 1 {
		t.Errorf("the change was made %d times", draft.committed)
	}
}

func TestEscStopsWaitingForTheEnvoysAndSaysThatItIsWritten(t *testing.T) {
	draft, waiting := pinDraft(), hold()
	draft.acknowledge = func(ctx context.Context, tell func(string)) error {
		tell("Envoy 1/2 acknowledged")
		return waiting.call(ctx)
	}
	d := reviewed(t, draft)
	d.press("y")
	waiting.await(d)
	d.until("Envoy 1/2 acknowledged")
	d.pictured("pin/acknowledging")
	d.press("esc")
	<-waiting.ended
	d.shows("Applied: btlspolicy/api is written.", "Not waited for", "The endpoints were not asked.")
	d.press("esc")
	d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
}

func TestWhatIsWrittenAndNotInForceIsSaid(t *testing.T) {
	draft := pinDraft()
	draft.acknowledge = func(_ context.Context, tell func(string)) error {
		tell("gateway/web: all 2 Envoys run it")
		return errors.New("written, but not in force on gateway/b: Envoy rejected it (Rejected)")
	}
	d := reviewed(t, draft)
	d.press("y")
	d.until("WRITTEN, BUT NOT KNOWN TO BE IN FORCE", "gateway/web: all 2 Envoys run it", "VERDICTS NOW")
	d.pictured("pin/not-in-force")
}

func TestVerdictsThatCannotBeHadAreNoFailureOfTheChange(t *testing.T) {
	draft := pinDraft()
	d := reviewed(t, draft)
	fakeOf(d).verify = func(
		context.Context, cliv1alpha1.PortReference, session.Progress,
	) (session.Probed, error) {
		return session.Probed{}, errors.New("no route to host")
	}
	d.press("y")
	d.until("Applied: btlspolicy/api is written.", "The endpoints could not be asked: no route to host")
}

func TestTheVerdictsFollowWhatTheOperatorMakesOfAChange(t *testing.T) {
	d := reviewed(t, pinDraft())
	d.press("y")
	d.until("VERDICTS NOW", "httproute/api: passes")
	service := fakeOf(d)
	refused := path("api")
	refused.Policy.Mode.Requested = skipAll
	refused.Verdict = cliv1alpha1.Verdict{Result: "Refused", Status: 500, Reason: "InsecureModeNotAllowed"}
	service.verify = judged(refused)
	service.states <- world(refused)
	d.until("httproute/api: refused (500) InsecureModeNotAllowed")
}

// fakeOf is the Service of a driver.
func fakeOf(d *driver) *fake {
	service, ok := d.app.desk.service.(*fake)
	if !ok {
		d.t.Fatal("another Service")
	}
	return service
}

func TestQuittingEndsWhatIsUnderWay(t *testing.T) {
	for name, key := range map[string]string{"fetch": "q", "commit": "ctrl+c", "acknowledgement": "q"} {
		t.Run(name, func(t *testing.T) {
			under, draft := hold(), pinDraft()
			service := newFake(world(failing("api")))
			service.fetch = serving(certificate("api", 90))
			service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
			switch name {
			case "fetch":
				service.fetch = holding(under)
			case "commit":
				draft.commit = under.call
			default:
				draft.acknowledge = func(ctx context.Context, _ func(string)) error { return under.call(ctx) }
			}
			d := flowing(t, service, 80, 24, newPin)
			if name != "fetch" {
				d.until("1 key served")
				d.press("enter")
				d.until("Write btlspolicy/api? y writes it")
				d.press("y")
			}
			under.await(d)
			d.press(key)
			if name == "commit" {
				d.press(key) // The first one waits for the outcome.
			}
			<-under.ended
			d.await(func() bool { return d.quit }, "the end")
		})
	}
}
