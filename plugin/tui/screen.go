package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// screen is one of the stack: Enter pushes the next one, Esc goes back.
type screen interface {
	// Init is what to do when it comes up for the first time.
	Init() tea.Cmd
	// Update takes a message that is for it: keys while it is on top, results of
	// its own commands whenever they come (see result), and every worldChanged.
	Update(msg tea.Msg) (screen, tea.Cmd)
	// View is its text, of exactly that size or less; without the banner, the
	// header and the footer, which are the root's.
	View(width, height int) string
	// Title is its place in the header: "svc/api:443", "pin".
	Title() string
	// Keys are those that it answers to now, for the footer and the help.
	Keys() []key.Binding
	// Typing says that letters are text for it now, and no shortcuts of the root.
	Typing() bool
	// Leave ends what it has under way. It is called once, when it is popped.
	Leave()
}

// refusing is a screen that hides actions; the help says why.
type refusing interface {
	// Refused are the keys that are not offered now, and for each one why.
	Refused() []refusal
}

// refusal is a key that is not offered.
type refusal struct {
	binding key.Binding
	why     string
}

// busy is a screen that has something under way; the footer says it.
type busy interface {
	// Busy is how far it has come: "asked 3 of 8 endpoints"; "" for nothing.
	Busy() string
}

// writer is a screen that writes.
type writer interface {
	// Writing is what is being written at this moment, "" for nothing.
	Writing() string
	// Hold keeps a first interruption from leaving it undecided whether that is
	// written, and says whether it did; a second one is not held.
	Hold() bool
}
