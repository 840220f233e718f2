package tui

import (
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// help explains the keys of a screen, and says which are not offered and why.
type help struct{ reading }

func newHelp(d *desk, of screen) *help {
	// What can be done there does not change while the help is read.
	groups := helpGroups(of)
	return &help{reading{desk: d, title: "help", text: func(width int) string { return d.help(groups, width) }}}
}

// Update scrolls and goes back, also by the key that led here.
func (h *help) Update(msg tea.Msg) (screen, tea.Cmd) {
	if pressed(msg, keyHelp) {
		return h, tell(pop{})
	}
	_, cmd := h.reading.Update(msg)
	return h, cmd
}

// helpGroup is keys under a title.
type helpGroup struct {
	title string
	lines [][2]string
}

func helpGroups(of screen) []helpGroup {
	here, move := helpGroup{title: strings.ToUpper(of.Title())}, helpGroup{title: "MOVE"}
	for _, binding := range of.Keys() {
		if !binding.Enabled() {
			continue
		}
		if moves(binding) {
			move.lines = append(move.lines, [2]string{strings.Join(names(binding), " "), binding.Help().Desc})
			continue
		}
		here.lines = append(here.lines, [2]string{binding.Help().Key, explained(binding)})
	}
	groups := []helpGroup{here}
	if r, ok := of.(refusing); ok {
		refused := helpGroup{title: "NOT OFFERED HERE"}
		for _, each := range r.Refused() {
			refused.lines = append(refused.lines, [2]string{each.binding.Help().Key, each.binding.Help().Desc + ": " + each.why})
		}
		groups = append(groups, refused)
	}
	return append(groups, move, helpGroup{title: "EVERYWHERE", lines: [][2]string{
		{keyBack.Help().Key, "back, or cancel what is under way"},
		{keyHelp.Help().Key, "this help"},
		{keyQuit.Help().Key, "quit, where no text is typed"},
		{keyInterrupt.Help().Key, "quit, always"},
	}})
}

// names are the keys of a binding as people know them.
func names(binding key.Binding) []string {
	list := make([]string, len(binding.Keys()))
	for i, name := range binding.Keys() {
		list[i] = strings.NewReplacer("pgdown", "pgdn", "ctrl+", "^").Replace(name)
	}
	return list
}

// help is the groups as text, for so many columns.
func (d *desk) help(groups []helpGroup, width int) string {
	const keys = 15
	var text strings.Builder
	for _, group := range groups {
		if len(group.lines) == 0 {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\n")
		}
		text.WriteString(d.theme.title.Render(group.title) + "\n")
		for _, line := range group.lines {
			lead := "  " + d.theme.key.Render(fit(line[0], keys)) + " "
			for _, part := range prose(line[1], width-keys-3) {
				text.WriteString(lead + part + "\n")
				lead = strings.Repeat(" ", keys+3)
			}
		}
	}
	return text.String()
}

// explained is what a key does, in more words than the footer has room for.
func explained(binding key.Binding) string {
	if text, ok := explanations[binding.Help()]; ok {
		return text
	}
	return binding.Help().Desc
}

var explanations = map[key.Help]string{
	keyOpen.Help():     "open: ask the endpoints, and show every check and why it passes or fails",
	keyFetch.Help():    "fetch: ask every endpoint for its certificate; fingerprints, grouped by key",
	keyVerify.Help():   "verify: ask every endpoint now, and judge what it serves by the policy",
	keyPin.Help():      "pin what the endpoints serve: fetch, choose, see the change, confirm",
	keyUnpin.Help():    "unpin: back to spec.validation, or without one of the pins",
	keyRotate.Help():   "rotate: judge each pin, add the next one, drop the stale ones",
	keySkip.Help():     "skip-verify: on for a limited time, where every Gateway allows it; off always",
	keyCopy.Help():     "copy the YAML of the policy to the clipboard of the terminal (OSC 52)",
	keyFilter.Help():   "filter: only paths that have every word that is typed",
	keyScope.Help():    "choose a namespace",
	keyAll.Help():      "all namespaces",
	keyOne.Help():      "one namespace again",
	keyWarnings.Help(): "what is wrong with the files, or could not be read",
}
