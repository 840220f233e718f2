package main

import (
	"fmt"
	"io"
	"strings"
)

// box draws one step: a title, the command, its output, what a client got.
// It uses no colour, so that it reads the same in a log.
type box struct {
	out io.Writer
}

// lines is how much of an output is shown.
const (
	lines = 36
	rule  = 100
)

func newBox(out io.Writer, title string) *box {
	fmt.Fprintf(out, "┌─ %s %s\n", title, strings.Repeat("─", max(0, rule-len([]rune(title))-4)))
	return &box{out: out}
}

func (b *box) text(text string) { fmt.Fprintln(b.out, strings.TrimRight("│ "+text, " ")) }

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

func (b *box) close() { fmt.Fprintf(b.out, "└%s\n\n", strings.Repeat("─", rule)) }
