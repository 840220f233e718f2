package tui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// open opens the details of the first path and waits for the answers.
func open(d *driver, service string) {
	d.t.Helper()
	d.until("> " + service)
	d.press("enter")
	d.until("paths > svc/" + service)
	d.idle()
}

func TestTheDetailsAtEverySize(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			service := newFake(shop())
			service.verify = answers(failing("basket"))
			d := drive(t, service, size.width, size.height)
			d.until("> ")
			d.press("down", "enter")
			d.until("paths > svc/basket")
			d.idle()
			d.golden("detail-" + size.name)
			d.press("end")
			d.golden("detail-end-" + size.name)
			d.press("home")
			d.golden("detail-" + size.name)
		})
	}
}

func TestTheDetailsOfAModeShowWhatIsNotVerified(t *testing.T) {
	state := shop()
	state.Events = []session.Event{
		{
			Object: cliv1alpha1.ObjectReference{Kind: "BackendTLSPolicy", Namespace: "shop", Name: "api"},
			At:     noon.Add(-time.Minute), Type: "Warning", Reason: "SecurityDegraded", Count: 3,
			Text: "verification is skipped on gateway/web until 13:58:18",
		},
		{
			Object: cliv1alpha1.ObjectReference{Kind: "Gateway", Namespace: "shop", Name: "web"},
			At:     noon.Add(-time.Hour), Type: "Normal", Reason: "Programmed", Text: "2 of 2 Envoys", Count: 1,
		},
		{
			Object: cliv1alpha1.ObjectReference{Kind: "BackendTLSPolicy", Namespace: "shop", Name: "basket"},
			At:     noon, Type: "Normal", Reason: "Unrelated",
		},
	}
	found := under(passing("api"), "InsecureSkipVerification", 2*time.Hour-102*time.Second)
	found.Verdict.Strict = "Fails"
	service := newFake(state)
	service.verify = answers(found)
	d := drive(t, service, 160, 45)
	open(d, "api")
	d.shows("VERIFICATION OFF: mode InsecureSkipVerification, left: 01:58:18", "the vendor's certificate lapsed")
	d.press("end")
	d.shows("SecurityDegraded btlspolicy/api, 60s ago, 3 times", "Programmed gateway/web, 60m ago")
	d.hides("Unrelated")
	d.golden("detail-mode-160x45")
}

func TestTheProgressIsShownAndEscCancels(t *testing.T) {
	service := newFake(world(failing("api")))
	ended := make(chan error, 1)
	service.verify = func(
		ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
	) (session.Probed, error) {
		progress(1, 8, "")
		progress(3, 8, "")
		<-ctx.Done()
		ended <- ctx.Err()
		return session.Probed{Service: port}, ctx.Err()
	}
	d := drive(t, service, 80, 24)
	d.until("> api")
	d.press("enter")
	d.until("asking endpoints: 3 of 8", "esc cancel", "until then this is what the operator says")
	d.golden("detail-asking-80x24")
	d.press("esc")
	d.until("verify svc/api:443: cancelled")
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
	d.shows("paths > svc/api:443", "The endpoints were not asked")
	d.press("esc")
	d.until("> api:443")
	d.hides("cancelled", "paths >")
}

func TestOnlyTheNewestAnswersCount(t *testing.T) {
	service := newFake(world(path("api")))
	type call struct {
		answer chan session.Probed
		ctx    context.Context
	}
	calls := make(chan call, 4)
	service.verify = func(
		ctx context.Context, port cliv1alpha1.PortReference, _ session.Progress,
	) (session.Probed, error) {
		c := call{answer: make(chan session.Probed), ctx: ctx}
		calls <- c
		// It does not listen to its context, as a server that is slow to give up.
		return <-c.answer, nil
	}
	d := drive(t, service, 80, 24)
	d.until("> api")
	d.press("enter")
	d.until("paths > svc/api")
	first := <-calls
	d.press("v")
	second := <-calls
	if first.ctx.Err() == nil {
		t.Error("the first call was not ended")
	}
	late, err := answers(passing("api"))(t.Context(), port("api"), nil)
	if err != nil {
		t.Fatal(err)
	}
	newest, err := answers(failing("api"))(t.Context(), port("api"), nil)
	if err != nil {
		t.Fatal(err)
	}
	first.answer <- late
	d.one()
	d.shows("asking endpoints", "not probed")
	second.answer <- newest
	d.until("503: the certificate is self-signed")
}

func TestAnAnswerFindsItsScreenUnderAnother(t *testing.T) {
	service := newFake(world(path("api")))
	answer := make(chan struct{})
	service.verify = func(
		ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
	) (session.Probed, error) {
		<-answer
		return answers(failing("api"))(ctx, port, progress)
	}
	d := drive(t, service, 80, 24)
	d.until("> api")
	d.press("enter")
	d.until("paths > svc/api")
	d.press("?")
	d.until("> help")
	close(answer)
	d.one()
	d.press("esc")
	d.until("503: the certificate is self-signed", "asked at")
}

func TestAnAnswerForAScreenThatWasLeftIsDropped(t *testing.T) {
	service := newFake(world(path("api")))
	answer := make(chan struct{})
	service.verify = func(
		ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
	) (session.Probed, error) {
		<-answer
		return answers(failing("api"))(ctx, port, progress)
	}
	d := drive(t, service, 80, 24)
	d.until("> api")
	d.press("enter")
	d.until("paths > svc/api")
	left := d.app.top().(*detail)
	d.press("esc")
	d.shows("cancelling")
	d.press("esc")
	d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
	if left.ctx.Err() == nil {
		t.Error("the context of the screen that was left has not ended")
	}
	close(answer)
	d.one()
	d.shows("not probed")
}

func TestAnswersCountUntilWhatDecidesChanges(t *testing.T) {
	service := newFake(world(path("api")))
	service.verify = answers(failing("api"))
	d := drive(t, service, 80, 24)
	open(d, "api")
	d.shows("503: the certificate is self-signed", "asked at 12:00:00.")

	// The same again, only with another status: the answers still count.
	same := path("api")
	same.Conditions = []cliv1alpha1.Condition{{
		Type: "BackendsVerified", Status: "Unknown", Reason: "NotProbed", Source: "Operator",
	}}
	service.states <- world(same)
	d.press("end")
	d.until("BackendsVerified")
	d.press("home")
	d.shows("503: the certificate is self-signed", "asked at 12:00:00.")

	// Now there is a pin.
	pinned := path("api")
	pinned.Policy = &cliv1alpha1.Policy{
		Namespace: "shop", Name: "api", Mode: cliv1alpha1.Mode{Requested: "Standard", Enforced: "Standard"},
		Trust: &cliv1alpha1.Trust{Pins: []string{"spki-sha256:abc"}},
	}
	service.states <- world(pinned)
	d.until("what decides has changed since")
	d.shows("not probed")
	pinned.Verdict.Result = "Passes"
	service.verify = answers(pinned)
	d.press("v")
	d.until("passes: Envoy accepts")
	d.hides("has changed since")
}

func TestAfterAChangeTheEndpointsAreAskedUntilItHasSettled(t *testing.T) {
	now := noon
	service := newFake(world(path("api")))
	service.verify = answers(path("api"))
	d := drive(t, service, 80, 24, func(c *Config) { c.Now = func() time.Time { return now } })
	open(d, "api")
	// A flow says that it has written something; the world follows in steps.
	service.verify = answers(failing("api"))
	d.send(changed{})
	d.idle()
	for _, state := range []string{"Announced", "Active"} {
		p := under(failing("api"), "InsecureSkipVerification", time.Hour)
		p.Policy.Mode.State = state
		service.verify = answers(p)
		service.states <- world(p)
		d.await(func() bool { return d.app.desk.state.Paths[0].Policy.Mode.State == state }, state)
		d.idle()
		if d.app.desk.outdated(port("api")) {
			t.Errorf("%s: the answers are of before:\n%s", state, d.screen())
		}
	}
	now = now.Add(time.Minute)
	later := world(path("api"))
	later.Now = now
	service.states <- later
	d.until("what decides has changed since")
	if b := d.app.top().(*detail).Busy(); b != "" {
		t.Errorf("the endpoints are asked again: %s", b)
	}
}

func TestAPortThatIsGoneSaysSo(t *testing.T) {
	service := newFake(world(path("api")))
	service.verify = answers(path("api"))
	d := drive(t, service, 80, 24)
	open(d, "api")
	service.states <- world(path("web"))
	d.until("Nothing leads to svc/api:443 any more")
}

func TestAFaultIsShownUntilAKeyIsPressed(t *testing.T) {
	service := newFake(world(path("api")))
	service.verify = func(
		context.Context, cliv1alpha1.PortReference, session.Progress,
	) (session.Probed, error) {
		return session.Probed{}, errors.New("endpointslices is forbidden:\n  may not list endpointslices in namespace shop\n" +
			strings.Repeat("more ", 200))
	}
	d := drive(t, service, 80, 24)
	open(d, "api")
	d.until("verify svc/api:443: endpointslices is forbidden:", "may not list endpointslices")
	d.golden("detail-fault-80x24")
	d.resize(40, 10)
	d.golden("detail-fault-40x10")
	d.resize(80, 24)
	d.press("down")
	d.hides("forbidden")
}
