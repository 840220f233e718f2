package tui

import (
	"context"
	"maps"
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// unpinning is the flow of `unpin`: back to spec.validation, or without single
// pins.
type unpinning struct {
	pinned

	// drop are the pins that are to go, kept when the flow begins again; none
	// stands for all.
	drop map[string]bool
	// vanished says that none of what was chosen is pinned any more, and nothing was
	// chosen since: that is no wish to drop every pin.
	vanished bool
}

// newUnpin is the flow for a port.
func newUnpin(d *desk, port cliv1alpha1.PortReference) screen {
	u := &unpinning{dialog: newDialog(d, "unpin", port), drop: map[string]bool{}}
	u.start = func() tea.Cmd { return u.ask(u.choose) }
	return u.dialog
}

func (u *unpinning) choose() tea.Cmd {
	chosen := len(u.drop) > 0
	maps.DeleteFunc(u.drop, func(name string, drop bool) bool {
		return !drop || !slices.ContainsFunc(u.pins, func(pin session.LivePin) bool { return pin.Pin == name })
	})
	u.vanished = chosen && len(u.drop) == 0
	u.step = &dropChoice{flow: u}
	return nil
}

// dropped are the pins that are to go, of those that there are.
func (u *unpinning) dropped() []string {
	var list []string
	for _, pin := range u.pins {
		if u.drop[pin.Pin] {
			list = append(list, pin.Pin)
		}
	}
	return list
}

func (u *unpinning) draft() tea.Cmd {
	pins := u.dropped()
	return u.propose(u.choose, func(ctx context.Context) (session.Draft, error) {
		return u.desk.service.Unpin(ctx, u.port, pins)
	})
}

// dropChoice is the step in which one says which pins are to go. Its first row
// stands for all of them.
type dropChoice struct {
	rows

	flow *unpinning
}

func (s *dropChoice) update(msg tea.Msg) tea.Cmd {
	u := s.flow
	switch {
	case pressed(msg, keyBack):
		return u.leave()
	case pressed(msg, keySelect) && s.cursor == 0:
		clear(u.drop)
		u.vanished = false
	case pressed(msg, keySelect):
		pin := u.pins[s.cursor-1].Pin
		if u.vanished = false; u.drop[pin] {
			delete(u.drop, pin)
		} else {
			u.drop[pin] = true
		}
	case pressed(msg, keyGoOn) && u.vanished:
	case pressed(msg, keyGoOn):
		return u.draft()
	default:
		s.move(msg, len(u.pins)+1)
	}
	return nil
}

func (s *dropChoice) view(width, height int) string {
	u := s.flow
	look := u.desk.theme
	all := len(u.dropped()) == 0 && !u.vanished
	top := append(styled(look.title, u.service()+": what is not to be pinned any more?", width), "")
	bottom := append([]string{""}, prose(s.consequence(), width)...)
	style, pointer := look.title, "  "
	if s.cursor == 0 {
		style, pointer = look.cursor, "> "
	}
	text := styled(style, pointer+radio(all)+"every pin: back to spec.validation", width)
	if s.cursor == 0 {
		s.reveal(0, len(text)-1, height-len(top)-len(bottom))
	}
	for i, pin := range u.pins {
		first := len(text)
		text = append(text, u.item(pin, box(u.drop[pin.Pin]), s.cursor == i+1, width)...)
		if s.cursor == i+1 {
			s.reveal(first, len(text)-1, height-len(top)-len(bottom))
		}
	}
	return stacked(&s.pane, top, append(text, u.doubt(width)...), bottom, width, height)
}

// consequence says what Enter leads to.
func (s *dropChoice) consequence() string {
	u := s.flow
	dropped := u.dropped()
	served := slices.ContainsFunc(u.pins, func(pin session.LivePin) bool {
		return u.drop[pin.Pin] && pin.State == session.PinLive && u.unasked == nil
	})
	switch {
	case u.vanished:
		return "What was chosen is not pinned any more. Choose again: Space on a line."
	case len(dropped) == 0:
		return "The policy goes back to what its spec.validation says. Enter shows whether the endpoints would pass that now."
	case served:
		return count(len(dropped), "pin") + " will go, and endpoints serve what it pins. Enter shows what that means."
	default:
		return count(len(dropped), "pin") + " will go; Enter shows what that means."
	}
}

// radio and box mark what is chosen.
func radio(chosen bool) string {
	if chosen {
		return "(x) "
	}
	return "( ) "
}

func box(chosen bool) string {
	if chosen {
		return "[x] "
	}
	return "[ ] "
}

func (s *dropChoice) keys() []key.Binding { return []key.Binding{keySelect, keyGoOn, keyBack} }

func (s *dropChoice) typing() bool { return false }
