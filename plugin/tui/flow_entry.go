package tui

import (
	"slices"
	"strings"
	"unicode"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// entry is a line that is typed. Control characters and such that nobody sees do
// not get into it, whether typed or pasted.
type entry struct {
	text []rune
	// cursor is the character that typing goes before.
	cursor int
	limit  int
}

// newEntry is an empty line of at most so many characters.
func newEntry(limit int) entry { return entry{limit: limit} }

// update takes a key or what was pasted.
func (e *entry) update(msg tea.Msg) {
	switch typed := msg.(type) {
	case tea.PasteMsg:
		e.insert(plain(typed.Content))
	case tea.KeyPressMsg:
		if !e.edit(typed) {
			e.insert(strings.Map(visible, typed.Text))
		}
	}
}

// The keys that edit.
var (
	keyLeft       = bind("left", "left", "left")
	keyRight      = bind("right", "right", "right")
	keyLineStart  = bind("home", "start", "home", "ctrl+a")
	keyLineEnd    = bind("end", "end", "end", "ctrl+e")
	keyErase      = bind("backspace", "erase", "backspace", "ctrl+h")
	keyDelete     = bind("delete", "delete", "delete", "ctrl+d")
	keyEraseWord  = bind("ctrl+w", "erase word", "ctrl+w", "alt+backspace")
	keyEraseStart = bind("ctrl+u", "erase to the start", "ctrl+u")
	keyEraseEnd   = bind("ctrl+k", "erase to the end", "ctrl+k")
)

// edit moves the cursor or erases, and says whether the key was one for that.
func (e *entry) edit(msg tea.KeyPressMsg) bool {
	switch {
	case key.Matches(msg, keyLeft):
		e.cursor = max(e.cursor-1, 0)
	case key.Matches(msg, keyRight):
		e.cursor = min(e.cursor+1, len(e.text))
	case key.Matches(msg, keyLineStart):
		e.cursor = 0
	case key.Matches(msg, keyLineEnd):
		e.cursor = len(e.text)
	case key.Matches(msg, keyErase):
		e.erase(e.cursor-1, e.cursor)
	case key.Matches(msg, keyDelete):
		e.erase(e.cursor, e.cursor+1)
	case key.Matches(msg, keyEraseWord):
		e.erase(e.word(), e.cursor)
	case key.Matches(msg, keyEraseStart):
		e.erase(0, e.cursor)
	case key.Matches(msg, keyEraseEnd):
		e.erase(e.cursor, len(e.text))
	default:
		return false
	}
	return true
}

// word is where the word before the cursor begins.
func (e *entry) word() int {
	i := e.cursor
	for i > 0 && unicode.IsSpace(e.text[i-1]) {
		i--
	}
	for i > 0 && !unicode.IsSpace(e.text[i-1]) {
		i--
	}
	return i
}

func (e *entry) erase(from, to int) {
	from, to = max(from, 0), min(to, len(e.text))
	e.text = slices.Delete(e.text, from, to)
	e.cursor = from
}

// insert puts text before the cursor, as much as there is room for.
func (e *entry) insert(text string) {
	added := []rune(text)
	added = added[:min(len(added), max(e.limit-len(e.text), 0))]
	e.text = slices.Insert(e.text, e.cursor, added...)
	e.cursor += len(added)
}

// value is what stands there, without blanks around it.
func (e *entry) value() string { return strings.TrimSpace(string(e.text)) }

// set replaces what stands there.
func (e *entry) set(text string) {
	e.text, e.cursor = nil, 0
	e.insert(plain(text))
}

// prompt stands before what is typed.
const prompt = "> "

// view is the line, as much of it as fits around the cursor. The cursor is shown
// where typing goes there.
func (e *entry) view(width int, cursor lipgloss.Style, focused bool) string {
	if !focused {
		return ansi.Truncate(prompt+string(e.text), width, "…")
	}
	under, after := " ", ""
	if e.cursor < len(e.text) {
		under, after = string(e.text[e.cursor]), string(e.text[e.cursor+1:])
	}
	start := 0
	room := width - len(prompt) - ansi.StringWidth(under)
	for start < e.cursor && ansi.StringWidth(string(e.text[start:e.cursor])) > room {
		start++
	}
	return ansi.Truncate(prompt+string(e.text[start:e.cursor])+cursor.Render(under)+after, width, "")
}

// plain is text on one line: a line break is a blank, and none at an end counts.
func plain(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return visible(r)
	}, text))
}

// visible drops what draws nothing or drives the terminal.
func visible(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
		return -1
	}
	return r
}
