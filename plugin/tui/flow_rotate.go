package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// rotating is the flow that looks at pins as a rotation does: which are served,
// which will be, and which can go.
type rotating struct {
	pinned
	rows

	// note answers a key that did nothing.
	note string
}

// newRotate is the flow for a port.
func newRotate(d *desk, port cliv1alpha1.PortReference) screen {
	r := &rotating{dialog: newDialog(d, "rotate", port)}
	r.start = func() tea.Cmd { return r.ask(r.look) }
	return r.dialog
}

func (r *rotating) look() tea.Cmd {
	r.cursor = min(r.cursor, max(len(r.pins)-1, 0))
	r.step, r.note = r, ""
	return nil
}

var (
	keyDrop     = bind("d", "drop stale pin", "d")
	keyAskAgain = bind("f", "ask again", "f")
)

func (r *rotating) update(msg tea.Msg) tea.Cmd {
	if _, isKey := msg.(tea.KeyPressMsg); isKey {
		r.note = ""
	}
	switch {
	case pressed(msg, keyBack):
		return r.leave()
	case pressed(msg, keyAskAgain):
		return r.start()
	case pressed(msg, keyDrop) && len(r.pins) > 0:
		return r.drop(r.pins[r.cursor])
	default:
		r.move(msg, len(r.pins))
	}
	return nil
}

// drop begins to drop a pin that nobody serves any more.
func (r *rotating) drop(pin session.LivePin) tea.Cmd {
	r.note = r.refusal()
	if r.note == "" && pin.State != session.PinStale {
		r.note = "Only a stale pin is dropped here; this one is " + pin.State + "."
	}
	if r.note != "" {
		return nil
	}
	return r.propose(r.look, func(ctx context.Context) (session.Draft, error) {
		return r.desk.service.Unpin(ctx, r.port, []string{pin.Pin})
	})
}

// refusal says why not even a stale pin is dropped, "" if it is.
func (r *rotating) refusal() string {
	why := r.desk.service.Forbidden(session.ActionUnpin, r.port)
	switch {
	case r.desk.readOnly:
		return "Nothing is changed: --read-only was given."
	case why != "":
		return "This cannot be dropped: " + why
	case r.unasked != nil:
		return "Whether it is stale is not known: f asks the endpoints again."
	case len(silent(r.seen.Endpoints)) > 0:
		return "An endpoint that did not answer may serve it: f asks them again."
	default:
		return ""
	}
}

// has says whether a pin is in that state.
func (r *rotating) has(state string) bool {
	return slices.ContainsFunc(r.pins, func(pin session.LivePin) bool { return pin.State == state })
}

func (r *rotating) view(width, height int) string {
	theme := r.desk.theme
	top := append(styled(theme.title, r.service()+": "+count(len(r.pins), "pin")+" "+r.tally(), width), "")
	bottom := append([]string{""}, prose(r.advice(), width)...)
	if r.note != "" {
		bottom = append([]string{""}, styled(theme.alarm, r.note, width)...)
	}
	var text []string
	for i, pin := range r.pins {
		first := len(text)
		text = append(text, r.item(pin, "", i == r.cursor, width)...)
		if i == r.cursor {
			r.reveal(first, len(text)-1, height-len(top)-len(bottom))
		}
	}
	if len(r.pins) == 0 {
		text = prose("The policy pins nothing.", width)
	}
	return stacked(&r.pane, top, append(text, r.doubt(width)...), bottom, width, height)
}

// tally counts the states.
func (r *rotating) tally() string {
	if r.unasked != nil || len(r.pins) == 0 {
		return ""
	}
	var parts []string
	for _, state := range [...]string{session.PinLive, session.PinNext, session.PinStale} {
		n := 0
		for _, pin := range r.pins {
			if pin.State == state {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+state)
		}
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// advice says what comes next.
func (r *rotating) advice() string {
	stale, live := r.has(session.PinStale), r.has(session.PinLive)
	switch {
	case r.unasked != nil:
		return "f asks the endpoints again."
	case stale && !live && len(silent(r.seen.Endpoints)) == 0:
		return "No endpoint serves what is pinned. If whoever renews the key says that it is the new one, " +
			"esc and p pin it instead."
	case stale && len(silent(r.seen.Endpoints)) == 0:
		return "d drops the stale pin at the cursor: once every endpoint serves the new key, the old one is only a risk."
	case stale:
		return "Wait until every endpoint answers before a stale pin is dropped: one that does not may serve it."
	default:
		return "Before the key changes, add the next one: " + r.andNext()
	}
}

// andNext is the command that pins a key which is not served yet.
func (r *rotating) andNext() string {
	command := fmt.Sprintf("%s pin %s -n %s --and-next FILE", r.desk.program, r.service(), r.port.Namespace)
	if state := r.desk.state; r.desk.known && !state.Live {
		command += " -f " + session.Quoted(state.Source)
	}
	return command
}

// keys lists d where it drops something, and that is what to do next: where
// nothing pinned is served, a pin is.
func (r *rotating) keys() []key.Binding {
	if r.has(session.PinStale) && r.has(session.PinLive) && r.refusal() == "" {
		return []key.Binding{keyDrop, keyAskAgain, keyBack}
	}
	return []key.Binding{keyAskAgain, keyBack}
}

func (r *rotating) typing() bool { return false }
