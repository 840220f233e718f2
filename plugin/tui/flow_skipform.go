package tui

import (
	"strings"
	"unicode"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/backendtls/backendtls/plugin/session"
)

// skipForm is the step in which one says what to skip, for how long and why,
// under the table of what each Gateway allows.
type skipForm struct {
	rows

	flow  *skipping
	fault string
}

// The fields of the form, from top to bottom.
const (
	fieldKind = iota
	fieldLength
	fieldReason
	fields
)

var (
	keyChoose    = bind("left/right", "choose", "left", "right")
	keyNextField = bind("tab", "next field", "tab", "down")
	keyLastField = bind("shift+tab", "field before", "shift+tab", "up")
)

func (s *skipForm) update(msg tea.Msg) tea.Cmd {
	w := &s.flow.wish
	if _, isKey := msg.(tea.KeyPressMsg); isKey {
		s.fault = ""
		s.follow = true
	}
	switch {
	case pressed(msg, keyBack):
		return s.flow.back()
	case len(w.kinds) == 0:
		s.pane.scroll(msg, false)
	case pressed(msg, onlyPageUp, onlyPageDown):
		s.pane.scroll(msg, true)
		s.follow = false
	case pressed(msg, keyGoOn):
		return s.goOn()
	case pressed(msg, keyNextField):
		s.cursor = (s.cursor + 1) % fields
	case pressed(msg, keyLastField):
		s.cursor = (s.cursor + fields - 1) % fields
	case s.cursor == fieldReason:
		w.reason.update(msg)
	case s.cursor == fieldKind:
		w.kind = moved(msg, w.kind, len(w.kinds))
	default:
		s.length(msg)
	}
	return nil
}

// length chooses a duration, or takes one that is typed: a digit begins that.
func (s *skipForm) length(msg tea.Msg) {
	w := &s.flow.wish
	if pressed(msg, keyLeft, keyRight) {
		w.length = moved(msg, w.length, len(w.presets)+1)
		return
	}
	press, isKey := msg.(tea.KeyPressMsg)
	_, isPaste := msg.(tea.PasteMsg)
	if isPaste || isKey && strings.ContainsFunc(press.Text, unicode.IsDigit) {
		w.length = len(w.presets)
	}
	if w.length == len(w.presets) {
		w.typed.update(msg)
	}
}

// moved is the choice left or right of the one that there is.
func moved(msg tea.Msg, choice, of int) int {
	switch {
	case pressed(msg, keyRight, keySelect):
		return (choice + 1) % of
	case pressed(msg, keyLeft):
		return (choice + of - 1) % of
	default:
		return choice
	}
}

// goOn goes to the next field, and from the last one to the change, if nothing
// is missing.
func (s *skipForm) goOn() tea.Cmd {
	if s.cursor != fieldReason {
		if _, _, err := s.flow.wish.fault(); err == nil || s.cursor == fieldKind {
			s.cursor++
			return nil
		}
	}
	length, field, err := s.flow.wish.fault()
	if err != nil {
		s.cursor, s.fault = field, err.Error()
		return nil
	}
	return s.flow.on(length)
}

func (s *skipForm) view(width, height int) string {
	f := s.flow
	look := f.desk.theme
	text := styled(look.title, "What the Gateways that lead to "+f.service()+" allow", width)
	text = append(text, s.table(width)...)
	w := &f.wish
	if len(w.kinds) == 0 {
		bottom := append([]string{""}, prose("Nothing can be skipped. Esc goes back.", width)...)
		return stacked(&s.pane, nil, append(text, s.nothing(width)...), bottom, width, height)
	}
	var bottom []string
	if s.fault != "" {
		bottom = styled(look.bad, s.fault, width)
	}
	text = append(text, "")
	for field, lines := range [fields][]string{s.kind(width), s.duration(width), s.reason(width)} {
		first := len(text)
		text = append(text, lines...)
		if field == s.cursor {
			s.reveal(first, len(text)-1, height-len(bottom))
		}
	}
	return stacked(&s.pane, nil, text, bottom, width, height)
}

// nothing says why there is no form.
func (s *skipForm) nothing(width int) []string {
	switch {
	case len(s.flow.allowances) == 0:
		return prose("No Gateway leads to "+s.flow.service()+": there is no verification to skip.", width)
	case len(s.flow.allowances) == 1:
		return nil
	default:
		return append([]string{""}, prose("Every one of them has to allow it.", width)...)
	}
}

// table is what each Gateway allows, and under each the rule that says so.
func (s *skipForm) table(width int) []string {
	rows := [][]string{{"GATEWAY", "ALLOWS", "LONGEST", "REASON"}}
	for _, allowance := range s.flow.allowances {
		rows = append(rows, s.row(allowance))
	}
	widths, all := make([]int, len(rows[0])), 0
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], ansi.StringWidth(row[i])+between)
		}
		all += widths[i]
	}
	narrow := all-between > width
	var lines []string
	for n, row := range rows {
		text := ""
		for i, cell := range row {
			text += cell + strings.Repeat(" ", widths[i]-ansi.StringWidth(cell))
		}
		switch {
		case n == 0 && narrow:
			continue
		case n == 0:
			lines = append(lines, s.flow.desk.theme.faint.Render(strings.TrimRight(text, " ")))
			continue
		case narrow:
			text = row[0] + "\n  allows " + row[1] + "; longest: " + row[2] + "; reason: " + row[3]
		}
		lines = append(lines, prose(strings.TrimRight(text, " "), width)...)
		if rule := s.flow.allowances[n-1].Rule; rule != "" {
			lines = append(lines, prose("  "+rule, width)...)
		}
	}
	return lines
}

// between is the gap between two columns.
const between = 2

func (s *skipForm) row(allowance session.Allowance) []string {
	name := "gateway/" + allowance.Gateway.Name
	if allowance.Gateway.Namespace != s.flow.port.Namespace {
		name = "gateway/" + allowance.Gateway.Namespace + "/" + allowance.Gateway.Name
	}
	longest, reason := "unlimited", "optional"
	if allowance.Longest > 0 {
		longest = session.Brief(allowance.Longest)
	}
	if allowance.ReasonNeeded {
		reason = "needed"
	}
	if len(allowance.Modes) == 0 || !allowance.Ours {
		longest, reason = "-", "-"
	}
	modes := words(allowance.Modes)
	if !allowance.Ours {
		modes = "nothing"
	}
	return []string{name, modes, longest, reason}
}

// label is the name of a field, with the cursor where it is.
func (s *skipForm) label(field int, name string) string {
	look := s.flow.desk.theme
	if s.cursor == field {
		return look.title.Render("> " + name)
	}
	return "  " + name
}

// choice is one of several, the chosen one in brackets.
func (s *skipForm) choice(text string, chosen, focused bool) string {
	switch {
	case chosen && focused:
		return s.flow.desk.theme.cursor.Render("[" + text + "]")
	case chosen:
		return "[" + text + "]"
	default:
		return " " + text + " "
	}
}

func (s *skipForm) kind(width int) []string {
	w := &s.flow.wish
	var choices []string
	for i, each := range w.kinds {
		choices = append(choices, s.choice(each.word, i == w.kind, s.cursor == fieldKind))
	}
	lines := prose(s.label(fieldKind, "Skip   ")+" "+strings.Join(choices, " "), width)
	return append(lines, styled(s.flow.desk.theme.alarm, inItem+w.kinds[w.kind].means, width)...)
}

func (s *skipForm) duration(width int) []string {
	w := &s.flow.wish
	focused := s.cursor == fieldLength
	var choices []string
	for i, each := range w.presets {
		choices = append(choices, s.choice(session.Brief(each), i == w.length, focused))
	}
	typed := w.length == len(w.presets)
	choices = append(choices, s.choice("other", typed, focused))
	lines := prose(s.label(fieldLength, "For    ")+" "+strings.Join(choices, " "), width)
	if typed {
		lines = append(lines, inItem+w.typed.view(width-len(inItem), s.flow.desk.theme.cursor, focused))
	}
	return lines
}

func (s *skipForm) reason(width int) []string {
	w := &s.flow.wish
	name := "Reason (shown in status, Events and audits)"
	if w.reasonNeeded {
		name = "Reason (needed; shown in status, Events and audits)"
	}
	line := inItem + w.reason.view(width-len(inItem), s.flow.desk.theme.cursor, s.cursor == fieldReason)
	return append(prose(s.label(fieldReason, name), width), line)
}

func (s *skipForm) keys() []key.Binding {
	switch {
	case len(s.flow.wish.kinds) == 0:
		return []key.Binding{keyBack}
	case s.cursor == fieldReason:
		return []key.Binding{keyGoOn, keyNextField, keyBack}
	default:
		return []key.Binding{keyChoose, keyGoOn, keyNextField, keyBack}
	}
}

// typing is so wherever letters may be text.
func (s *skipForm) typing() bool {
	w := &s.flow.wish
	return len(w.kinds) > 0 && (s.cursor == fieldReason || s.cursor == fieldLength)
}
