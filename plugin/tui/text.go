package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// fit makes text exactly that wide: cut with an ellipsis, or filled with blanks.
func fit(text string, width int) string {
	text = ansi.Truncate(text, max(0, width), "…")
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// cut leaves at most so many lines.
func cut(lines []string, most int) []string { return lines[:min(len(lines), max(0, most))] }

// wrap breaks text into lines of at most that width, between words where it can.
// The further lines of what was indented are indented as far, and a little more.
func wrap(text string, width int) []string {
	if width < 1 {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if ansi.StringWidth(line) <= width {
			lines = append(lines, line)
			continue
		}
		plain := ansi.Strip(line)
		indent := len(plain) - len(strings.TrimLeft(plain, " "))
		if indent += 2; indent > width/2 {
			indent = 0
		}
		broken := strings.Split(ansi.Wrap(line, width-indent, ""), "\n")
		for i, part := range broken {
			if i > 0 {
				part = strings.Repeat(" ", indent) + strings.TrimLeft(part, " ")
			}
			lines = append(lines, part)
		}
	}
	return lines
}
