package tui

import (
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// columnsOf is how many columns text takes.
func columnsOf(text string) int {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return ansi.StringWidth(text)
		}
	}
	return len(text)
}

// fit makes text exactly that wide: cut with an ellipsis, or filled with blanks.
func fit(text string, width int) string {
	used := columnsOf(text)
	if used > width {
		text = ansi.Truncate(text, max(0, width), "…")
		used = columnsOf(text)
	}
	return text + strings.Repeat(" ", max(0, width-used))
}

// cut leaves at most so many lines.
func cut(lines []string, most int) []string { return lines[:min(len(lines), max(0, most))] }

// show is the part of a text that is seen of it on a screen of that size.
func (p *pane) show(text string, width, height int) string {
	lines := p.view(hanging(text, width-2), height)
	for i, line := range lines {
		lines[i] = " " + line
	}
	return sized(lines, width, height)
}

// hanging breaks lines that do not fit. What goes on of an indented one is
// indented further, so that a manifest stays one.
func hanging(text string, width int) []string {
	const further = 2
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if columnsOf(line) <= width || !strings.HasPrefix(line, " ") {
			lines = append(lines, prose(line, width)...)
			continue
		}
		for i, part := range prose(line, max(width-further, 1)) {
			if i > 0 {
				part = strings.Repeat(" ", further) + part
			}
			lines = append(lines, part)
		}
	}
	return lines
}

// center puts text in the middle of the screen, or as much of it as is seen: its
// first line is a title.
func (p *pane) center(t theme, text string, width, height int) string {
	title, rest, _ := strings.Cut(text, "\n")
	lines := append([]string{title, ""}, prose(rest, min(width-4, 72))...)
	widest := 0
	for _, line := range lines {
		widest = max(widest, ansi.StringWidth(line))
	}
	lines[0] = t.title.Render(lines[0])
	left := strings.Repeat(" ", max(1, (width-widest)/2))
	centered := make([]string, max(0, (height-len(lines))/3))
	for _, line := range p.view(lines, height) {
		centered = append(centered, left+line)
	}
	return sized(centered, width, height)
}

// count is a number and a noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
