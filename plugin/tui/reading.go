package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// reading is a screen of text.
type reading struct {
	desk  *desk
	title string
	text  func(width int) string
	pane  pane
}

// newReading is a screen of a text, which is asked for whenever it is shown, for
// so many columns.
func newReading(d *desk, title string, text func(width int) string) *reading {
	return &reading{desk: d, title: title, text: text}
}

// Init does nothing.
func (*reading) Init() tea.Cmd { return nil }

// Update scrolls and goes back.
func (r *reading) Update(msg tea.Msg) (screen, tea.Cmd) {
	if !r.pane.scroll(msg, false) && pressed(msg, keyBack) {
		return r, tell(pop{})
	}
	return r, nil
}

// View is the part of the text that is seen.
func (r *reading) View(width, height int) string {
	return r.pane.show(r.text(width-2), width, height)
}

// Title is where one is.
func (r *reading) Title() string { return r.title }

// Keys are how to move and to go back.
func (*reading) Keys() []key.Binding { return append([]key.Binding{keyBack}, moving...) }

// Typing is never so.
func (*reading) Typing() bool { return false }

// Leave ends nothing.
func (*reading) Leave() {}
