package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// pinnedAPI are pins of svc/api in every state.
func pinnedAPI() []session.LivePin {
	return []session.LivePin{
		{
			Pin: certificate("api", 90).SPKISHA256, State: "live", Endpoints: []string{"api-0 (10.0.0.1:8443)"},
			Subject: "CN=api", NotAfter: noon.AddDate(0, 0, 90),
		},
		{Pin: certificate("next", 90).SPKISHA256, State: "next"},
		{Pin: certificate("old", 90).SPKISHA256, State: "stale"},
	}
}

// unpins records what is asked to be unpinned, and answers with a draft.
func unpins(service *fake, draft *fakeDraft) *[][]string {
	var asked [][]string
	service.unpin = func(_ context.Context, _ cliv1alpha1.PortReference, pins []string) (session.Draft, error) {
		asked = append(asked, slices.Clone(pins))
		return draft, nil
	}
	return &asked
}

func TestUnpinGoesBackToValidationUnlessPinsAreSelected(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch, service.pins = serving(certificate("api", 90)), pinnedAPI()
	draft := pinDraft()
	draft.show = "CHANGES to btlspolicy/api\n\nEvery endpoint would pass the changed policy now (1 endpoint asked).\n"
	asked := unpins(service, draft)
	d := flowing(t, service, 80, 24, newUnpin)
	d.until("what is not to be pinned any more?")
	d.pictured("unpin/choice")
	d.press("enter")
	d.until("Every endpoint would pass", "Write btlspolicy/api? y writes it")
	d.pictured("unpin/review")
	d.press("esc", "down", "down", "down", "space")
	d.pictured("unpin/choice-of-one")
	d.press("enter")
	d.until("Write btlspolicy/api? y writes it")
	d.press("y")
	d.until("VERDICTS NOW")
	want := [][]string{nil, {certificate("old", 90).SPKISHA256}}
	if !slices.EqualFunc(*asked, want, slices.Equal) {
		t.Errorf("asked to drop %q", *asked)
	}
	if draft.committed != 1 {
		t.Errorf("the change was made %d times", draft.committed)
	}
}

// A pin that was chosen and has gone meanwhile is no wish to drop every other.
func TestUnpinOfAPinThatIsGoneDoesNotBecomeUnpinOfAll(t *testing.T) {
	service := newFake(world(failing("api")))
	pinned := pinnedAPI()
	service.fetch, service.pins = serving(certificate("api", 90)), pinned
	var asked [][]string
	service.unpin = func(_ context.Context, _ cliv1alpha1.PortReference, pins []string) (session.Draft, error) {
		asked = append(asked, slices.Clone(pins))
		service.pins = pinned[:2]
		return nil, fmt.Errorf("btlspolicy/api: %w", edit.ErrChanged)
	}
	d := flowing(t, service, 80, 24, newUnpin)
	d.until("what is not to be pinned any more?")
	d.press("down", "down", "down", "space", "enter")
	d.until("CHANGED MEANWHILE")
	d.press("r")
	d.until("What was chosen is not pinned any more")
	d.press("enter")
	d.shows("( ) every pin", "Choose again")
	if len(asked) != 1 {
		t.Errorf("asked to drop %q", asked)
	}
	d.press("space")
	d.shows("(x) every pin", "back to what its spec.validation says")
}

func TestUnpinTellsWhenASelectedPinIsServed(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch, service.pins = serving(certificate("api", 90)), pinnedAPI()
	d := flowing(t, service, 80, 24, newUnpin)
	d.until("what is not to be pinned any more?")
	d.press("down", "space")
	d.shows("1 pin will go, and endpoints serve what it pins")
	d.press("up", "space")
	d.shows("(x) every pin", "back to what its spec.validation says")
}

func TestUnpinGoesOnWhereNoEndpointCanBeAsked(t *testing.T) {
	service := newFake(world(failing("api")))
	service.pins = pinnedAPI()
	service.fetch = func(
		context.Context, cliv1alpha1.PortReference, session.Progress,
	) (session.Fetched, error) {
		return session.Fetched{}, errors.New("pods is forbidden:\nask for create pods/portforward")
	}
	draft := pinDraft()
	asked := unpins(service, draft)
	d := flowing(t, service, 80, 24, newUnpin)
	d.until("Which pins are served is not known")
	d.pictured("unpin/unasked")
	d.hides("live", "stale")
	d.press("enter")
	d.until("Write btlspolicy/api? y writes it")
	if len(*asked) != 1 {
		t.Errorf("asked to drop %q", *asked)
	}
}

func TestRotateShowsStatesAndDropsWhatIsStale(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch, service.pins = serving(certificate("api", 90)), pinnedAPI()
	draft := pinDraft()
	asked := unpins(service, draft)
	d := flowing(t, service, 80, 24, newRotate)
	d.until("3 pins (1 live, 1 next, 1 stale)")
	d.pictured("rotate/pins")
	d.press("d")
	d.shows("Only a stale pin is dropped here; this one is live.")
	d.press("end", "d")
	d.until("Write btlspolicy/api? y writes it")
	d.press("esc")
	d.shows("3 pins (1 live, 1 next, 1 stale)")
	d.press("d")
	d.until("Write btlspolicy/api? y writes it")
	d.press("y")
	d.until("VERDICTS NOW")
	want := []string{certificate("old", 90).SPKISHA256}
	if len(*asked) != 2 || !slices.Equal((*asked)[1], want) {
		t.Errorf("asked to drop %q", *asked)
	}
}

func TestRotateDropsNothingWhileAnEndpointIsSilent(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch, service.pins = serving(certificate("api", 90), nil), pinnedAPI()
	asked := unpins(service, pinDraft())
	d := flowing(t, service, 80, 24, newRotate)
	d.until("NO CERTIFICATE from 1 endpoint")
	d.press("end", "d")
	d.shows("An endpoint that did not answer may serve it")
	d.pictured("rotate/silent")
	service.fetch = serving(certificate("api", 90))
	d.press("f")
	d.until("d drops the stale pin")
	if len(*asked) != 0 {
		t.Errorf("asked to drop %q", *asked)
	}
}

// To drop the last pin is refused, and leaves a policy without a key that is served.
func TestRotateLeadsToPinOnceTheKeyHasChanged(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch, service.pins = serving(certificate("new", 90)), pinnedAPI()[2:]
	d := flowing(t, service, 80, 24, newRotate)
	d.until("1 pin (1 stale)")
	d.shows("No endpoint serves what is pinned", "esc and p pin it")
	d.hides("d drops the stale pin", "d drop stale pin")
}

func TestRotateSaysWhyItDropsNothing(t *testing.T) {
	for name, set := range map[string]struct {
		forbid string
		fetch  error
		want   string
	}{
		"without the right": {forbid: "you may not patch backendtlspolicies", want: "you may not patch"},
		"with nobody asked": {fetch: errors.New("no route to host"), want: "Whether it is stale is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			service := newFake(world(failing("api")))
			service.pins = pinnedAPI()
			service.forbidden = func(session.Action, cliv1alpha1.PortReference) string { return set.forbid }
			service.fetch = func(
				context.Context, cliv1alpha1.PortReference, session.Progress,
			) (session.Fetched, error) {
				return session.Fetched{At: noon, Endpoints: answering(certificate("api", 90))}, set.fetch
			}
			d := flowing(t, service, 80, 24, newRotate)
			d.until("3 pins")
			d.press("end", "d")
			d.shows(set.want)
		})
	}
}
