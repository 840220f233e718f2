package plugin

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// watched is a Session that has read what there is.
func (b *bench) watched(t *testing.T, s *session.Session) *session.Session {
	t.Helper()
	ctx, enough := context.WithCancel(t.Context())
	states := s.Watch(ctx, session.Scope{Namespace: "default", All: true})
	select {
	case <-states:
	case <-time.After(time.Minute):
		t.Error("no State within a minute")
	}
	enough()
	for range states { // It is closed once nothing is under way any more.
		continue
	}
	return s
}

func TestWhatIsNotToBeOffered(t *testing.T) {
	b := newDesk(t)
	s := b.sitting()
	if reason := s.Forbidden(session.ActionPin, port("api")); reason == "" {
		t.Error("something is offered before anything was read")
	}
	b.watched(t, s)
	for _, test := range []struct {
		action session.Action
		port   string
		want   string
	}{
		{session.ActionPin, "api", ""},
		{session.ActionPin, "foreign", ""}, // In the form ca.
		{session.ActionPin, "gone", "svc/gone:443 is not there any more"},
		{session.ActionUnpin, "api", "btlspolicy/api has no pins"},
		{session.ActionUnpin, "new", "svc/new:443 has no policy"},
		{session.ActionUnpin, "rotate", ""},
		{session.ActionUnpin, "good", "trusts nothing but its pins"},
		{session.ActionSkipOn, "api", ""},
		{session.ActionSkipOn, "narrow", ""}, // What each Gateway allows is shown.
		{session.ActionSkipOn, "foreign", "gateway/mesh (istio.io/gateway-controller)"},
		{session.ActionSkipOn, "lonely", "is reached through no Gateway"},
		{session.ActionSkipOff, "api", "has no mode to end"},
		{session.ActionSkipOff, "shut", ""},
	} {
		reason := s.Forbidden(test.action, port(test.port))
		if (reason == "") != (test.want == "") || !strings.Contains(reason, test.want) {
			t.Errorf("%s of svc/%s: %q, want %q", test.action, test.port, reason, test.want)
		}
	}
	config := b.config()
	config.ReadOnly = true
	quiet := b.watched(t, session.New(config))
	for _, action := range []session.Action{
		session.ActionPin, session.ActionUnpin, session.ActionSkipOn, session.ActionSkipOff,
	} {
		if reason := quiet.Forbidden(action, port("shut")); !strings.Contains(reason, "--read-only") {
			t.Errorf("%s: %q", action, reason)
		}
	}
}

func TestOffIsOfferedWhateverElseIsWrong(t *testing.T) {
	b := newDesk(t)
	write(t, "desk/zz.yaml", "a: [\n")
	s := b.watched(t, b.sitting())
	if reason := s.Forbidden(session.ActionSkipOff, port("shut")); reason != "" {
		t.Errorf("off: %q", reason)
	}
	if reason := s.Forbidden(session.ActionPin, port("api")); !strings.Contains(reason, "desk/zz.yaml:") {
		t.Errorf("pin: %q", reason)
	}
}

func TestWhatEachGatewayAllows(t *testing.T) {
	b := newDesk(t)
	s := b.watched(t, b.sitting())
	all := []string{"InsecureAllowExpired", "InsecureSkipOnlySANVerification", "InsecureSkipVerification"}
	for name, want := range map[string]session.Allowance{
		"api": {Ours: true, Modes: all, Longest: 24 * time.Hour, ReasonNeeded: true, Rule: "gatewayparameters/default/modes"},
		"narrow": {
			Gateway: cliv1alpha1.ObjectReference{Namespace: "infra", Name: "strict"}, Ours: true,
			Rule: "no GatewayParameters with spec.backendTLS is referred to by",
		},
		"foreign": {Gateway: cliv1alpha1.ObjectReference{Name: "mesh"}, Rule: "istio.io/gateway-controller ignores backendtls.dev options"},
		"edge":    {Gateway: cliv1alpha1.ObjectReference{Name: "edge"}, Rule: "its GatewayClass is not known"},
	} {
		var found bool
		for _, got := range s.Allowances(port(name)) {
			if want.Gateway.Name != "" && got.Gateway.Name != want.Gateway.Name {
				continue
			}
			found = true
			slices.Sort(got.Modes)
			if got.Ours != want.Ours || !slices.Equal(got.Modes, want.Modes) || got.Longest != want.Longest ||
				got.ReasonNeeded != want.ReasonNeeded || !strings.Contains(got.Rule, want.Rule) {
				t.Errorf("svc/%s: %+v, want %+v", name, got, want)
			}
		}
		if !found {
			t.Errorf("svc/%s: %+v", name, s.Allowances(port(name)))
		}
	}
	if list := s.Allowances(port("lonely")); len(list) > 0 {
		t.Errorf("svc/lonely: %+v", list)
	}
}

func TestPinsAreLiveNextOrStale(t *testing.T) {
	states := func(pins []session.LivePin) string {
		var list []string
		for _, one := range pins {
			list = append(list, one.State)
		}
		return strings.Join(list, " ")
	}
	b := newDesk(t)
	s := b.watched(t, b.sitting())
	about := port("rotate")
	pins := s.Pins(about, fetched(t, s, about))
	if states(pins) != "live next" || pins[0].Pin != b.filled("@spki:good@") || pins[1].Pin != b.filled("@cert:other@") {
		t.Fatalf("%+v", pins)
	}
	if pins[0].Subject != "CN=good" || pins[0].NotAfter.IsZero() || len(pins[0].Endpoints) != 1 ||
		!strings.Contains(pins[0].Endpoints[0], ":8443") || len(pins[1].Endpoints) != 0 {
		t.Errorf("%+v", pins)
	}
	// The next key is served: what stood before it is of the past.
	b.serve(b.identity("other"), "10.1.4.1:8443")
	if pins := s.Pins(about, fetched(t, s, about)); states(pins) != "stale live" {
		t.Errorf("%+v", pins)
	}
	// Neither is.
	b.serve(b.identity("named"), "10.1.4.1:8443")
	if pins := s.Pins(about, fetched(t, s, about)); states(pins) != "stale stale" {
		t.Errorf("%+v", pins)
	}
	// Nobody has answered: nothing is known to be of the past.
	if pins := s.Pins(about, session.Fetched{}); states(pins) != "next next" {
		t.Errorf("%+v", pins)
	}
	for _, without := range []string{"api", "new", "gone"} {
		if pins := s.Pins(port(without), session.Fetched{}); len(pins) > 0 {
			t.Errorf("svc/%s: %+v", without, pins)
		}
	}
}

func TestACertificateThatIsTrustedAsSuchIsAPin(t *testing.T) {
	b := newDesk(t)
	if code, _, stderr := b.run(words("pin svc/api --form leaf -f desk --write --yes")...); code != 0 {
		t.Fatal(stderr)
	}
	s := b.watched(t, b.sitting())
	b.serve(b.identity("other"), "10.1.0.1:8443", "10.1.0.2:8443")
	pins := s.Pins(port("api"), fetched(t, s, port("api")))
	if len(pins) != 1 || pins[0].Pin != b.filled("@cert:api@") || pins[0].State != session.PinStale ||
		pins[0].Subject != "CN=api" || pins[0].NotAfter.IsZero() {
		t.Errorf("%+v", pins)
	}
}

func TestTheManifestThatIsCopied(t *testing.T) {
	b := newDesk(t)
	s := b.watched(t, b.sitting())
	text, err := s.Manifest(port("api"))
	if err != nil || !strings.Contains(text, "    # options: none yet\n") || strings.Contains(text, "\n---") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := s.Manifest(port("new")); err == nil || !strings.Contains(err.Error(), "fetch that first") {
		t.Errorf("%v", err)
	}
	seen := fetched(t, s, port("new"))
	draft := drafted(t)(s.Pin(t.Context(), session.PinAsk{Service: port("new"), Form: edit.FormSPKI, Seen: seen}))
	if text, err := s.Manifest(port("new")); err != nil || text != draft.Manifest() {
		t.Errorf("%v\n%s\nwant\n%s", err, text, draft.Manifest())
	}
	if _, err := s.Manifest(port("gone")); err == nil {
		t.Error("there is a manifest for what is not there")
	}
}
