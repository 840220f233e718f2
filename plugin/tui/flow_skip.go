package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/view"
)

// skipping is the flow of `skip-verify`: what each Gateway allows, for how long
// and why, and, while a mode is on, its end before anything else.
type skipping struct {
	*dialog

	allowances []session.Allowance
	// wish is what was chosen and typed, kept when the flow begins again.
	wish wish
}

// newSkip is the flow for a port.
func newSkip(d *desk, port cliv1alpha1.PortReference) screen {
	s := &skipping{dialog: newDialog(d, "skip-verify", port), wish: newWish()}
	s.start = s.first
	return s.dialog
}

// first is the first step: the end of a mode, where there is one to end.
func (s *skipping) first() tea.Cmd {
	s.work.stop()
	if s.desk.service.Forbidden(session.ActionSkipOff, s.port) == "" {
		s.step = &modeOn{flow: s}
		return nil
	}
	return s.form()
}

// form is the step in which one says what to skip, how long and why.
func (s *skipping) form() tea.Cmd {
	s.allowances = s.desk.service.Allowances(s.port)
	s.wish.limit(s.allowances)
	s.step = &skipForm{flow: s}
	return nil
}

// back is where Esc leads from the form.
func (s *skipping) back() tea.Cmd {
	if s.desk.service.Forbidden(session.ActionSkipOff, s.port) == "" {
		return s.first()
	}
	return s.leave()
}

func (s *skipping) on(length time.Duration) tea.Cmd {
	ask := session.SkipAsk{
		Service: s.port, Only: s.wish.only(), For: length, Reason: s.wish.reason.value(),
	}
	return s.propose(s.form, func(ctx context.Context) (session.Draft, error) {
		return s.desk.service.SkipOn(ctx, ask)
	})
}

func (s *skipping) off() tea.Cmd {
	return s.propose(s.first, func(ctx context.Context) (session.Draft, error) {
		return s.desk.service.SkipOff(ctx, s.port)
	})
}

// allowed are the modes that every Gateway allows which leads to the port. Where
// one is another controller's none is: it would ignore the mode.
func allowed(allowances []session.Allowance) []string {
	var modes []string
	for i, allowance := range allowances {
		switch {
		case !allowance.Ours:
			return nil
		case i == 0:
			modes = slices.Clone(allowance.Modes)
		default:
			modes = slices.DeleteFunc(modes, func(mode string) bool { return !slices.Contains(allowance.Modes, mode) })
		}
	}
	return modes
}

// skipped is what a mode skips: the words of `--only`, and words for people.
type skipped struct{ mode, only, word, means string }

// skippable are what can be skipped, the least first.
var skippable = []skipped{
	{
		mode: string(model.InsecureAllowExpired), only: "expiry", word: "dates",
		means: "Certificates are accepted whatever their dates, also those of their issuers.",
	},
	{
		mode: string(model.InsecureSkipOnlySANVerification), only: "name", word: "names",
		means: "Any certificate of the trusted CA is accepted, whatever name it carries.",
	},
	{
		mode: string(model.InsecureSkipVerification), only: "", word: "everything",
		means: "Any certificate is accepted: anybody on the path can read and change what is sent.",
	},
}

// words are modes for people.
func words(modes []string) string {
	var list []string
	for _, each := range skippable {
		if slices.Contains(modes, each.mode) {
			list = append(list, each.word)
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// modeOn is the step that offers to end the mode that is on, and only after that
// to ask for another one.
type modeOn struct {
	flow   *skipping
	cursor int
	note   string
	text   pane
}

func (s *modeOn) update(msg tea.Msg) tea.Cmd {
	switch {
	case pressed(msg, keyBack):
		return s.flow.leave()
	case pressed(msg, keyUp):
		s.cursor = 0
	case pressed(msg, keyDown):
		s.cursor = 1
	case pressed(msg, keyGoOn) && s.cursor == 0:
		return s.flow.off()
	case pressed(msg, keyGoOn):
		if why := s.flow.desk.service.Forbidden(session.ActionSkipOn, s.flow.port); why != "" {
			s.note = "This cannot be asked for: " + why
			return nil
		}
		return s.flow.form()
	}
	return nil
}

func (s *modeOn) view(width, height int) string {
	f := s.flow
	look := f.desk.theme
	text := append(styled(look.alarm, "A mode that weakens the verification of "+f.service()+" is asked for:", width), "")
	text = append(text, f.inForce(width)...)
	text = append(text, "")
	var choices []string
	for i, choice := range [...]string{"End that now: the policy as written is enforced", "Ask for another mode or time"} {
		style, pointer := look.title, "  "
		if i == s.cursor {
			style, pointer = look.cursor, "> "
		}
		choices = append(choices, styled(style, pointer+choice, width)...)
	}
	if s.note != "" {
		choices = append(choices, "")
		choices = append(choices, styled(look.alarm, s.note, width)...)
	}
	return stacked(&s.text, nil, text, choices, width, height)
}

// inForce says which modes the policies ask for, since when, until when and why.
func (s *skipping) inForce(width int) []string {
	var lines []string
	seen := map[string]bool{}
	for _, path := range s.desk.pathsOf(s.port) {
		if path.Policy == nil || path.Policy.Mode.Requested == string(model.Standard) {
			continue
		}
		mode := path.Policy.Mode
		text := "  " + mode.Requested
		if mode.State != "" {
			text += ", " + view.StateWord(mode.State)
		}
		if path.Gateway != nil {
			text += " on gateway/" + path.Gateway.Name
		}
		if mode.Until != nil {
			text += ", until " + mode.Until.UTC().Format(time.RFC3339)
			if left := mode.Until.Sub(s.desk.clock); left > 0 {
				text += " (" + clock(left) + " left)"
			}
		}
		if mode.Reason != "" {
			text += ": " + mode.Reason
		}
		if !seen[text] {
			seen[text] = true
			lines = append(lines, prose(text, width)...)
		}
	}
	if len(lines) == 0 {
		return prose("  The policy asks for a mode.", width)
	}
	return lines
}

func (s *modeOn) keys() []key.Binding { return []key.Binding{keyGoOn, keyBack} }

func (s *modeOn) typing() bool { return false }
