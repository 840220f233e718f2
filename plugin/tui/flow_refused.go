package tui

import (
	"errors"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// refused is the step that shows why something is not done, in as many lines as
// that takes, and what can be done next.
type refused struct {
	flow *dialog
	err  error
	// back is what Esc does, and where says where that leads.
	back  func() tea.Cmd
	where string
	// failed says that the change was begun: the error says how much of it was
	// made.
	failed bool
	text   pane
}

// refuse goes to that step.
func (f *dialog) refuse(err error, where string, back func() tea.Cmd) tea.Cmd {
	f.step = &refused{flow: f, err: err, where: where, back: back}
	return nil
}

// fail goes to it from a change that was begun.
func (f *dialog) fail(err error) tea.Cmd {
	f.step = &refused{flow: f, err: err, where: "out of this", back: f.leave, failed: true}
	return nil
}

var keyAgain = bind("r", "start again", "r")

func (s *refused) update(msg tea.Msg) tea.Cmd {
	switch {
	case pressed(msg, keyBack):
		return s.back()
	case pressed(msg, keyAgain):
		return s.flow.start()
	}
	s.text.scroll(msg, false)
	return nil
}

func (s *refused) view(width, height int) string {
	look := s.flow.desk.theme
	title, next := look.bad.Render("NOT DONE"), "r starts again from what is there now"
	switch {
	case errors.Is(s.err, edit.ErrChanged):
		title, next = look.alarm.Render("CHANGED MEANWHILE"), next+", with what you have chosen and typed"
	case s.failed:
		title = look.bad.Render("THE CHANGE FAILED")
	}
	top := []string{title, ""}
	next += "; Esc leads " + s.where + "."
	bottom := append([]string{""}, prose(next, width)...)
	return stacked(&s.text, top, prose(untrusted.Lines(s.err.Error()), width), bottom, width, height)
}

func (s *refused) keys() []key.Binding { return []key.Binding{keyAgain, keyScroll, keyBack} }

func (s *refused) typing() bool { return false }
