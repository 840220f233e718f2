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
	text  pane
}

// refuse goes to that step.
func (f *dialog) refuse(err error, where string, back func() tea.Cmd) tea.Cmd {
	f.step = &refused{flow: f, err: err, where: where, back: back}
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
	top := []string{look.bad.Render("NOT DONE"), ""}
	next := "r starts again from what is there now; Esc leads " + s.where + "."
	if errors.Is(s.err, edit.ErrChanged) {
		top[0] = look.alarm.Render("CHANGED MEANWHILE, nothing was written")
		next = "r starts again from what is there now, with what you have chosen and typed; Esc leads " + s.where + "."
	}
	bottom := append([]string{""}, prose(next, width)...)
	return stacked(&s.text, top, prose(untrusted.Lines(s.err.Error()), width), bottom, width, height)
}

func (s *refused) keys() []key.Binding { return []key.Binding{keyAgain, keyScroll, keyBack} }

func (s *refused) typing() bool { return false }
