package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// pane is where text stands that may be longer than its place.
type pane struct {
	// offset is the first line that is seen. View brings it back to where there is
	// something to see, because only then the height is known.
	offset int
	// page is how many lines were seen last.
	page int
}

// scroll moves the text and says whether the key was one for that. While a text
// is typed, letters and the ends of the line are for it.
func (p *pane) scroll(msg tea.Msg, typing bool) bool {
	up, down, pageUp, pageDown := keyUp, keyDown, keyPageUp, keyPageDown
	if typing {
		up, down, pageUp, pageDown = onlyUp, onlyDown, onlyPageUp, onlyPageDown
	}
	switch {
	case pressed(msg, up):
		p.offset--
	case pressed(msg, down):
		p.offset++
	case pressed(msg, pageUp):
		p.offset -= max(p.page-1, 1)
	case pressed(msg, pageDown):
		p.offset += max(p.page-1, 1)
	case !typing && pressed(msg, keyHome):
		p.offset = 0
	case !typing && pressed(msg, keyEnd):
		p.offset = endOfText
	default:
		return false
	}
	p.offset = max(p.offset, 0)
	return true
}

// The keys that are not letters.
var (
	onlyUp       = bind("up", "up", "up")
	onlyDown     = bind("down", "down", "down")
	onlyPageUp   = bind("pgup", "page up", "pgup")
	onlyPageDown = bind("pgdn", "page down", "pgdown")
	// keyScroll stands for all of them in the footer.
	keyScroll = bind("up/down", "scroll", "up", "down", "pgup", "pgdown")
)

// endOfText is an offset behind every text.
const endOfText = 1 << 30

// rows is a pane of rows, of which the cursor is at one.
type rows struct {
	pane   pane
	cursor int
	// follow says that the cursor has moved: its row is then brought into view.
	follow bool
}

// move answers to the keys that move the cursor, and, where it is at an end or a
// whole page is meant, the text.
func (r *rows) move(msg tea.Msg, count int) {
	before := r.cursor
	switch {
	case pressed(msg, keyUp) && r.cursor > 0:
		r.cursor--
	case pressed(msg, keyDown) && r.cursor < count-1:
		r.cursor++
	case !r.pane.scroll(msg, false):
		return
	case pressed(msg, keyHome):
		r.cursor = 0
	case pressed(msg, keyEnd):
		r.cursor = max(count-1, 0)
	}
	r.follow = r.cursor != before && !pressed(msg, keyHome, keyEnd)
}

// reveal brings the row of the cursor, which is the lines first..last, into view
// once after the cursor has moved; its first line in any case.
func (r *rows) reveal(first, last, height int) {
	if !r.follow {
		return
	}
	r.follow = false
	height = max(height-1, 1)
	if last >= r.pane.offset+height {
		r.pane.offset = last - height + 1
	}
	r.pane.offset = min(r.pane.offset, first)
}

// view is at most height lines of the text. Where there is more, the last line
// says so.
func (p *pane) view(lines []string, height int) []string {
	if height <= 0 {
		return nil
	}
	if len(lines) <= height {
		p.offset, p.page = 0, height
		return lines
	}
	p.page = max(height-1, 1)
	p.offset = min(max(p.offset, 0), len(lines)-p.page)
	seen := append([]string(nil), lines[p.offset:p.offset+p.page]...)
	if height == 1 {
		return seen
	}
	below := len(lines) - p.offset - p.page
	switch {
	case below == 0:
		return append(seen, "-- end --")
	case below == 1:
		return append(seen, "-- 1 more line: PgDn --")
	default:
		return append(seen, fmt.Sprintf("-- %d more lines: PgDn --", below))
	}
}

// prose breaks every line of a text between words so that it fits, its further
// lines indented as it is. Only a word that is too long for a line is broken:
// nothing else may be cut out of a fingerprint.
func prose(text string, width int) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		body := strings.TrimLeft(line, " ")
		indent := strings.Repeat(" ", min(len(line)-len(body), max(width/4, 0)))
		lines = append(lines, broken(body, indent, max(width-len(indent), 1))...)
	}
	return lines
}

// broken breaks one line into parts of that width, and indents each.
func broken(line, indent string, width int) []string {
	if ansi.StringWidth(line) <= width {
		return []string{indent + line}
	}
	var lines []string
	part, used := indent, 0
	for word := range strings.FieldsSeq(line) {
		length := ansi.StringWidth(word)
		if used > 0 && used+1+length <= width {
			part, used = part+" "+word, used+1+length
			continue
		}
		if room := width - used - 1; used > 0 && length > width && room >= leastPiece {
			part += " " + ansi.Truncate(word, room, "")
			word = ansi.TruncateLeft(word, room, "")
		}
		if used > 0 {
			lines = append(lines, part)
		}
		pieces := strings.Split(ansi.Hardwrap(word, width, false), "\n")
		for _, piece := range pieces[:len(pieces)-1] {
			lines = append(lines, indent+piece)
		}
		last := pieces[len(pieces)-1]
		part, used = indent+last, ansi.StringWidth(last)
	}
	return append(lines, part)
}

// leastPiece is how much of a word that has to be broken is worth a place behind
// what stands before it.
const leastPiece = 8

// styled breaks a text into lines that fit, each in the style.
func styled(style lipgloss.Style, text string, width int) []string {
	lines := prose(text, width)
	for i, line := range lines {
		lines[i] = style.Render(line)
	}
	return lines
}

// closed ends the colors of a line with it: the line where they would end may
// not be seen.
func closed(line string) string {
	if strings.Contains(line, "\x1b") {
		return line + ansi.ResetStyle
	}
	return line
}

// sized cuts lines to the size.
func sized(lines []string, width, height int) string {
	lines = lines[:min(len(lines), max(height, 0))]
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = closed(ansi.Truncate(line, max(width, 0), ""))
	}
	return strings.Join(cut, "\n")
}

// stacked is a text that may scroll between lines that stay. Where the height is
// short, the text keeps a few lines and the top gives way, then the bottom from
// its beginning: what has to be answered stands at its end.
func stacked(p *pane, top, text, bottom []string, width, height int) string {
	const least = 3
	if room := height - len(bottom) - least; len(top) > room {
		text = append(append([]string(nil), top...), text...)
		top = nil
	}
	if room := max(height-len(top)-least, 1); len(bottom) > room {
		bottom = bottom[len(bottom)-room:]
	}
	lines := append([]string(nil), top...)
	lines = append(lines, p.view(text, height-len(top)-len(bottom))...)
	return sized(append(lines, bottom...), width, height)
}
