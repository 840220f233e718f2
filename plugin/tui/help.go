package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// help explains the keys of a screen.
type help struct {
	desk *desk
	of   screen
}

func newHelp(d *desk, of screen) *help { return &help{desk: d, of: of} }

// Init does nothing.
func (*help) Init() tea.Cmd { return nil }

// Update goes back.
func (h *help) Update(msg tea.Msg) (screen, tea.Cmd) {
	if pressed(msg, keyBack, keyHelp) {
		return h, tell(pop{})
	}
	return h, nil
}

// View is the keys.
func (h *help) View(int, int) string { return "" }

// Title is where one is.
func (*help) Title() string { return "help" }

// Keys are how to go back.
func (*help) Keys() []key.Binding { return []key.Binding{keyBack} }

// Typing is never so.
func (*help) Typing() bool { return false }

// Leave ends nothing.
func (*help) Leave() {}
