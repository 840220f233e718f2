package tui

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	"github.com/charmbracelet/x/ansi"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// The smallest terminal that is of use.
const (
	narrowest = 40
	lowest    = 10
	// roomy is the height from which on there is an empty line under the header.
	roomy = 16
)

// frame is the lines of the whole terminal: header, banner, the screen on top,
// what was said, and the footer.
func (a *app) frame() []string {
	lines := []string{a.header()}
	if banner := a.desk.banner(a.width); banner != "" {
		lines = append(lines, banner)
	}
	if a.tooSmall() {
		small := fmt.Sprintf("at least %dx%d are needed; q quits", narrowest, lowest)
		if a.top().Typing() {
			small = fmt.Sprintf("at least %dx%d are needed; ctrl+c quits", narrowest, lowest)
		}
		return a.trimmed(cut(append(lines, prose(small, a.width)...), a.height))
	}
	if a.height >= roomy {
		lines = append(lines, "")
	}
	said := a.messages()
	body := a.height - len(lines) - len(said) - 1
	shown := cut(strings.Split(a.top().View(a.width, body), "\n"), body)
	lines = append(lines, shown...)
	for range body - len(shown) {
		lines = append(lines, "")
	}
	return a.trimmed(append(append(lines, said...), a.footer()))
}

// tooSmall says that the screen on top is not shown: then no key is for it
// either, because nobody can see what it would answer.
func (a *app) tooSmall() bool { return a.width < narrowest || a.height < lowest }

// trimmed cuts every line to the width.
func (a *app) trimmed(lines []string) []string {
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, a.width, "…")
	}
	return lines
}

func (a *app) top() screen { return a.stack[len(a.stack)-1].screen }

// header says where one is, and what is looked at.
func (a *app) header() string {
	d := a.desk
	var titles []string
	for _, level := range a.stack {
		titles = append(titles, level.screen.Title())
	}
	place := " " + strings.Join(titles, " > ")
	about := d.about()
	if a.width > 0 && ansi.StringWidth(place)+ansi.StringWidth(about)+3 > a.width {
		// The place counts for more, and of the place its end.
		about = ansi.Truncate(about, max(0, a.width-ansi.StringWidth(place)-3), "…")
	}
	if excess := ansi.StringWidth(place) + 1 - a.width; excess > 0 {
		place = " " + ansi.TruncateLeft(place, excess+2, "…")
	}
	gap := max(1, a.width-ansi.StringWidth(place)-ansi.StringWidth(about)-1)
	style := d.theme.faint
	if d.state.Trouble.Kind == session.Unreachable {
		style = d.theme.bad
	}
	return d.theme.header.Render(place) + strings.Repeat(" ", gap) + style.Render(about)
}

// about is what is read, and how it stands.
func (d *desk) about() string {
	scope := "namespace " + untrusted.Text(d.scope.Namespace)
	if d.scope.All {
		scope = "all namespaces"
	}
	source := d.source
	if d.known && d.state.Source != "" {
		source = d.state.Source
	}
	parts := []string{source, scope}
	if d.readOnly {
		parts = append(parts, "read-only")
	}
	if d.known && d.state.Trouble.Kind == session.Unreachable && len(d.state.Paths) > 0 {
		// At is by the clock that modes are judged by, not by this machine's.
		age := duration.HumanDuration(max(0, d.clock.Sub(d.state.At)))
		parts = append([]string{"NO ANSWER, data is " + age + " old"}, parts...)
	}
	return strings.Join(parts, ", ")
}

// messages are what was said and no key has taken away yet, at most half of the
// terminal.
func (a *app) messages() []string {
	var lines []string
	for _, said := range a.said {
		style := a.desk.theme.good
		if said.bad {
			style = a.desk.theme.bad
		}
		for _, line := range prose(untrusted.Lines(said.text), a.width-2) {
			lines = append(lines, " "+style.Render(line))
		}
	}
	if most := a.height/2 - 2; len(lines) > most {
		lines = append(lines[:most-1], " "+a.desk.theme.faint.Render("… e shows all of it"))
	}
	return lines
}

// footer is the keys that can be pressed, as many as fit, and what is under way.
func (a *app) footer() string {
	doing := ""
	if b, ok := a.top().(busy); ok {
		doing = b.Busy()
	}
	room := a.width - 2
	if doing != "" {
		doing = ansi.Truncate(doing, a.width*2/3, "…")
		room -= ansi.StringWidth(doing) + 2
	}
	bindings := a.top().Keys()
	if !a.top().Typing() {
		bindings = append(slices.Clip(bindings), keyHelp, keyQuit)
	}
	text := a.desk.short(bindings, room)
	gap := max(1, a.width-2-ansi.StringWidth(text)-ansi.StringWidth(doing))
	return " " + text + strings.Repeat(" ", gap) + a.desk.theme.alarm.Render(doing)
}

// short lists keys, leaving out from the middle what does not fit: the last two
// are help and quit, by which one finds the others.
func (d *desk) short(bindings []key.Binding, width int) string {
	var items []string
	for _, binding := range bindings {
		if binding.Enabled() && !moves(binding) {
			items = append(items, d.theme.key.Render(binding.Help().Key)+" "+d.theme.faint.Render(binding.Help().Desc))
		}
	}
	const between = "  "
	for len(items) > 0 {
		text := strings.Join(items, between)
		if ansi.StringWidth(text) <= width {
			return text
		}
		at := max(0, len(items)-3)
		items = append(items[:at:at], items[at+1:]...)
	}
	return ""
}
