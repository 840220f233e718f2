package tui

import (
	"context"
	"strings"
	"time"
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
	// read says that it has been on the screen for a moment: until then, nothing
	// that is pressed is an answer to it. early says that something was.
	read, early bool
	// moments counts the moments that were waited for.
	moments int
	text    pane
}

// moment is how long a draft is on the screen before a key answers it: who typed
// ahead, or pressed a key once more than needed, has seen nothing yet.
const moment = 400 * time.Millisecond

// seen says that a draft has been on the screen for its moment of that number.
type seen struct {
	result
	of     *review
	moment int
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
	shown := &review{flow: f, draft: draft, back: back, ask: ask, name: newEntry(longestName)}
	f.step = shown
	return shown.wait()
}

// wait leaves the draft on the screen for a moment, from now on.
func (s *review) wait() tea.Cmd {
	s.moments++
	ctx, pause, number := s.flow.ctx, s.flow.desk.pause, s.moments
	return func() tea.Msg {
		pause(ctx)
		return seen{of: s, moment: number}
	}
}

// answer makes the change, if the key came after the moment: one that came before
// begins another, because more may follow it, as they do while it is held down.
func (s *review) answer() tea.Cmd {
	if !s.read {
		s.early = true
		return s.wait()
	}
	return s.flow.apply(s.draft)
}

// longestName is the length of an object's name (RFC 1123 subdomain).
const longestName = 253

func (s *review) update(msg tea.Msg) tea.Cmd {
	_, isKey := msg.(tea.KeyPressMsg)
	if over, ok := msg.(seen); ok {
		s.read = s.read || over.of == s && over.moment == s.moments
		return nil
	}
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
			return s.answer()
		}
		return nil
	case pressed(msg, keyConfirm):
		if s.name.value() != s.ask.Type {
			s.wrong = true
			return nil
		}
		return s.answer()
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
		lines := append([]string{""}, s.tooEarly(width)...)
		return append(lines, prose(look.title.Render(s.ask.Question)+s.once(" y writes it,")+" Esc goes back.", width)...)
	}
	var lines []string
	if s.ask.Why != "" {
		lines = append(lines, styled(look.bad, stated(s.ask.Why), width)...)
	}
	lines = append(lines, s.tooEarly(width)...)
	lines = append(lines, prose(s.once("Type "+look.title.Render(s.ask.Type)+" to write it; ")+"Esc goes back.", width)...)
	if s.wrong {
		lines = append(lines, styled(look.bad, "This is not the name, nothing was written.", width)...)
	}
	return append(append([]string{""}, lines...), s.name.view(width, look.cursor, true))
}

// once is a text about what a key does, as soon as the key does it.
func (s *review) once(text string) string {
	if !s.read {
		return ""
	}
	return text
}

// tooEarly says that a key was no answer.
func (s *review) tooEarly(width int) []string {
	if !s.early {
		return nil
	}
	return styled(s.flow.desk.theme.bad, "What was pressed before this could be read writes nothing.", width)
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
