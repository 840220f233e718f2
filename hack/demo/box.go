package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// box draws one step: a title, the command, its output, what a client got.
// It uses no colour, so that it reads the same in a log.
type box struct {
	out io.Writer
}

const (
	// lines is how much of an output is shown.
	lines = 40
	// rule is the width of the box, which fits the narrowest of usual terminals;
	// inside is what is left for text.
	rule   = 80
	inside = rule - len("| ")
)

func newBox(out io.Writer, title string) *box {
	fmt.Fprintf(out, "┌─ %s %s\n", title, strings.Repeat("─", max(0, rule-len([]rune(title))-4)))
	return &box{out: out}
}

// text is one line, or several where it is longer than the box is wide.
func (b *box) text(text string) {
	indent := strings.Repeat(" ", len(text)-len(strings.TrimLeft(text, " "))+4)
	for {
		head, tail, long := cut(text, inside)
		fmt.Fprintln(b.out, strings.TrimRight("│ "+head, " "))
		if !long {
			return
		}
		text = indent + tail
	}
}

// cut breaks text at the last blank that leaves a line within the width; a word
// that is longer stays whole.
func cut(text string, width int) (head, tail string, long bool) {
	if utf8.RuneCountInString(text) <= width {
		return text, "", false
	}
	start := len(text) - len(strings.TrimLeft(text, " "))
	for at, column := start, start; at < len(text); column++ {
		_, size := utf8.DecodeRuneInString(text[at:])
		if text[at] == ' ' && (column <= width || head == "") {
			head, tail = text[:at], text[at+1:]
		}
		at += size
	}
	return cmp.Or(head, text), tail, head != ""
}

func (b *box) command(command string) { b.text("$ " + command) }

func (b *box) result(result string) { b.text("=> " + result) }

// output is trimmed in the middle: what a command says first and last matters.
func (b *box) output(output string) {
	all := strings.Split(strings.TrimRight(output, "\n"), "\n")
	for i, line := range all {
		if len(all) > lines && i == lines/2 {
			b.text(fmt.Sprintf("... %d lines ...", len(all)-lines))
		}
		if len(all) <= lines || i < lines/2 || i >= len(all)-lines/2 {
			b.text(line)
		}
	}
}

func (b *box) close() { fmt.Fprintf(b.out, "└%s\n\n", strings.Repeat("─", rule-1)) }
