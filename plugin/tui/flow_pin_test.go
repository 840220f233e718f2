package tui

import (
	"context"
	"slices"
	"testing"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

func TestPinFromTheFirstQuestionToTheVerdicts(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90), certificate("api", 90), unlike("api", 12))
	service.pins = []session.LivePin{{Pin: certificate("api", 90).SPKISHA256, State: "live"}}
	service.verify = judged(passing("api"))
	draft := pinDraft()
	var asked []session.PinAsk
	service.pin = func(_ context.Context, ask session.PinAsk) (session.Draft, error) {
		asked = append(asked, ask)
		return draft, nil
	}
	d := flowing(t, service, 80, 24, newPin)
	d.until("2 keys served")
	d.pictured("pin/choice")
	d.press("tab")
	d.pictured("pin/choice-certificate")
	d.press("down", "space")
	d.pictured("pin/choice-without-one")
	d.press("enter")
	d.until("Write btlspolicy/api? y writes it")
	d.pictured("pin/review")
	d.press("enter", "x", "Y")
	if draft.committed != 0 {
		t.Error("another key than y wrote the change")
	}
	d.press("y")
	d.until("VERDICTS NOW", "passes")
	d.pictured("pin/done")
	if draft.committed != 1 {
		t.Errorf("the change was made %d times", draft.committed)
	}
	want := []string{certificate("api", 90).SPKISHA256}
	if len(asked) != 1 || asked[0].Form != edit.FormCertificate || !slices.Equal(asked[0].Keys, want) ||
		len(asked[0].Seen.Endpoints) != 3 {
		t.Errorf("asked for %+v", asked)
	}
	d.press("enter")
	d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
}
