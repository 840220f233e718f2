package tui

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// review is the step that shows a draft, and asks: for y, or for a name where a
// slip must not be enough.
type review struct {
	flow  *dialog
	draft session.Draft
	// back is what Esc does: it leads to the choice that the draft was made from.
	back func() tea.Cmd
	ask  session.Confirmation
	name entry
	// wrong says that Enter was pressed with another text than the name.
	wrong bool
	text  pane
}

var (
	keyYes     = bind("y", "yes, write it", "y")
	keyConfirm = bind("enter", "confirm", "enter")
)

// propose makes a draft by the call, and shows it.
func (f *dialog) propose(back func() tea.Cmd, call func(context.Context) (session.Draft, error)) tea.Cmd {
	return run(f, "Working out the change of "+f.service(), back,
		func(ctx context.Context, _ session.Progress) (session.Draft, error) { return call(ctx) },
		func(draft session.Draft, err error) tea.Cmd {
			if err != nil {
				return f.refuse(err, "back to the choice", back)
			}
			return f.show(draft, back)
		})
}

// show goes to the step.
func (f *dialog) show(draft session.Draft, back func() tea.Cmd) tea.Cmd {
	ask := draft.Confirmation()
	f.step = &review{flow: f, draft: draft, back: back, ask: ask, name: newEntry(longestName)}
	return nil
}

// longestName is the length of an object's name (RFC 1123 subdomain).
const longestName = 253

func (s *review) update(msg tea.Msg) tea.Cmd {
	_, isKey := msg.(tea.KeyPressMsg)
	switch {
	case pressed(msg, keyBack):
		return s.back()
	case s.text.scroll(msg, s.typing()):
		return nil
	case !s.draft.Changes():
		if pressed(msg, keyConfirm) {
			return s.flow.leave()
		}
		return nil
	case s.ask.Type == "":
		if pressed(msg, keyYes) {
			return s.flow.apply(s.draft)
		}
		return nil
	case pressed(msg, keyConfirm):
		if s.name.value() != s.ask.Type {
			s.wrong = true
			return nil
		}
		return s.flow.apply(s.draft)
	default:
		s.wrong = s.wrong && !isKey
		s.name.update(msg)
		return nil
	}
}

func (s *review) view(width, height int) string {
	return stacked(&s.text, nil, s.lines(width), s.question(width), width, height)
}

// lines are what is shown before it is asked.
func (s *review) lines(width int) []string {
	look := s.flow.desk.theme
	var shown strings.Builder
	// Where there are no colors, the program drops them.
	if err := s.draft.Show(&shown, width, true); err != nil {
		shown.WriteString(untrusted.Lines(err.Error()))
	}
	lines := prose(shown.String(), width)
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if !s.draft.Changes() {
		return lines
	}
	lines = append(lines, "", look.title.Render("DIFFERENCE"))
	return append(lines, s.flow.difference(s.draft.Difference(), width)...)
}

// difference is a unified diff, colored by its signs.
func (f *dialog) difference(text string, width int) []string {
	look := f.desk.theme
	var lines []string
	for line := range strings.Lines(text) {
		style := look.faint
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "@@"):
			style = look.title
		case strings.HasPrefix(line, "+"):
			style = look.good
		case strings.HasPrefix(line, "-"):
			style = look.bad
		}
		for _, part := range folded(untrusted.Lines(strings.TrimRight(line, "\n")), width) {
			lines = append(lines, style.Render(part))
		}
	}
	return lines
}

// folded breaks a line of a manifest wherever its place ends, its further parts
// behind two blanks more than its sign.
func folded(line string, width int) []string {
	if line == "" {
		return []string{""}
	}
	sign, rest := line[:1], line[1:]
	if sign != "+" && sign != "-" && sign != " " {
		return prose(line, width)
	}
	parts := prose(rest, max(width-1, 1))
	for i := range parts {
		parts[i] = sign + parts[i]
	}
	return parts
}

// question is what has to be answered.
func (s *review) question(width int) []string {
	look := s.flow.desk.theme
	switch {
	case !s.draft.Changes():
		return append([]string{""}, prose("Nothing is to be written. Enter or Esc goes back.", width)...)
	case s.ask.Type == "":
		return append([]string{""}, prose(look.title.Render(s.ask.Question)+" y writes it, Esc goes back.", width)...)
	}
	var lines []string
	if s.ask.Why != "" {
		lines = append(lines, styled(look.bad, stated(s.ask.Why), width)...)
	}
	lines = append(lines, prose("Type "+look.title.Render(s.ask.Type)+" to write it; Esc goes back.", width)...)
	if s.wrong {
		lines = append(lines, styled(look.bad, "This is not the name, nothing was written.", width)...)
	}
	return append(append([]string{""}, lines...), s.name.view(width, look.cursor, true))
}

// stated begins with a capital letter and ends with a full stop.
func stated(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	return strings.TrimRight(text, ".") + "."
}

func (s *review) keys() []key.Binding {
	switch {
	case !s.draft.Changes():
		return []key.Binding{keyScroll, keyBack}
	case s.ask.Type == "":
		return []key.Binding{keyYes, keyScroll, keyBack}
	default:
		return []key.Binding{keyConfirm, keyScroll, keyBack}
	}
}

func (s *review) typing() bool { return s.draft.Changes() && s.ask.Type != "" }
