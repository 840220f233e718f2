package tui

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// picker chooses a namespace: typing leaves those that have the text, and one
// that is not listed can be typed in full.
type picker struct {
	desk   *desk
	input  entry
	cursor int
}

// everyNamespace is the first choice.
const everyNamespace = "all namespaces"

// longestNamespace is how many characters the name of a namespace has at most.
const longestNamespace = 63

func newPicker(d *desk) *picker {
	p := &picker{desk: d, input: newEntry(longestNamespace)}
	if !d.scope.All {
		p.cursor = max(0, slices.Index(p.choices(), d.scope.Namespace))
	}
	return p
}

// Init does nothing.
func (*picker) Init() tea.Cmd { return nil }

// Title is where one is.
func (*picker) Title() string { return "namespace" }

// Typing is always so.
func (*picker) Typing() bool { return true }

// Leave ends nothing.
func (*picker) Leave() {}

// Keys are those of the picker.
func (*picker) Keys() []key.Binding {
	return []key.Binding{bind("enter", "choose", "enter"), bind("up/down", "move", "up", "down"), keyBack}
}

// Update types, moves and chooses.
func (p *picker) Update(msg tea.Msg) (screen, tea.Cmd) {
	press, isKey := msg.(tea.KeyPressMsg)
	switch {
	case pressed(msg, keyBack):
		return p, tell(pop{})
	case pressed(msg, keyOpen):
		return p, p.choose()
	case isKey && press.Code == tea.KeyUp:
		p.cursor--
	case isKey && press.Code == tea.KeyDown:
		p.cursor++
	default:
		before := p.input.value()
		p.input.update(msg)
		if p.input.value() != before {
			p.cursor = 0
		}
	}
	p.cursor = max(0, min(p.cursor, len(p.choices())-1))
	return p, nil
}

// choices are the namespaces that have what was typed, and that itself.
func (p *picker) choices() []string {
	typed := p.input.value()
	var list []string
	if strings.Contains(everyNamespace, typed) {
		list = append(list, everyNamespace)
	}
	exact := typed == ""
	for _, namespace := range p.desk.state.Namespaces {
		if strings.Contains(namespace, typed) {
			list = append(list, namespace)
		}
		exact = exact || namespace == typed
	}
	if !exact {
		list = append(list, typed)
	}
	return list
}

func (p *picker) choose() tea.Cmd {
	chosen := p.choices()[p.cursor]
	to := look{namespace: chosen}
	if chosen == everyNamespace {
		to = look{namespace: p.desk.home, all: true}
	}
	// The list asks for it: this screen is gone by then.
	return tell(pop{tell: to})
}

// View is the line to type in, and the choices around the cursor.
func (p *picker) View(width, height int) string {
	const label = " namespace "
	lines := []string{"", label + p.input.view(width-len(label), p.desk.theme.cursor, true), ""}
	choices := p.choices()
	room := max(1, height-len(lines))
	from := max(0, min(p.cursor-room/2, len(choices)-room))
	for i := from; i < min(len(choices), from+room); i++ {
		line := "  " + choices[i]
		if i == p.cursor {
			line = p.desk.theme.cursor.Render(fit("> "+choices[i], width))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
