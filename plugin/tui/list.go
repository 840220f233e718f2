package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// list is the paths, and the cursor on one of them.
type list struct {
	desk *desk
	ctx  context.Context
	end  context.CancelFunc
	// verifying is what was asked of the path under the cursor, which is a port's.
	verifying work
	target    cliv1alpha1.PortReference

	filter entry
	typing bool
	// all are the paths, shown those that match the filter; and their rows.
	all, shown    []cliv1alpha1.Path
	allRows, rows [][]cell
	// selected is the identity of the path at cursor.
	selected string
	cursor   int
	// fitted is the table of rows for a width; it is made anew when either changes.
	fitted table
	width  int
	// pane is for what is shown instead of rows.
	pane pane
	// offset is the first row that is seen; height how many are.
	offset, height int
}

// longestFilter is how many characters a filter may have.
const longestFilter = 128

func newList(d *desk) *list {
	l := &list{desk: d, filter: newEntry(longestFilter)}
	l.ctx, l.end = context.WithCancel(d.ctx)
	return l
}

// Init does nothing: the root watches.
func (*list) Init() tea.Cmd { return nil }

// Title is where one is.
func (*list) Title() string { return "paths" }

// Typing says whether the filter is being typed.
func (l *list) Typing() bool { return l.typing }

// Leave ends what was asked.
func (l *list) Leave() { l.end() }

// Busy is how far the asking has come.
func (l *list) Busy() string { return l.verifying.doing("asking " + l.desk.name(l.target)) }

// Update takes keys, changes of the world and answers.
func (l *list) Update(msg tea.Msg) (screen, tea.Cmd) {
	switch msg := msg.(type) {
	case worldChanged, changed:
		l.arrange()
	case report:
		return l, l.verifying.progress(msg)
	case finished[session.Probed]:
		cmd := l.verified(msg)
		l.arrange()
		return l, cmd
	case look:
		return l, tell(msg)
	case tea.KeyPressMsg:
		if !l.Typing() {
			return l, l.key(msg)
		}
		l.typed(msg)
		l.choose()
	case tea.PasteMsg:
		l.filter.update(msg)
		l.choose()
	}
	return l, nil
}

// arrange makes rows of all paths.
func (l *list) arrange() {
	l.all, l.allRows = l.all[:0], l.allRows[:0]
	for _, path := range l.desk.state.Paths {
		path = l.desk.current(path)
		l.all, l.allRows = append(l.all, path), append(l.allRows, l.desk.cells(path))
	}
	l.choose()
}

// choose takes the paths that match the filter, and finds the cursor's again.
func (l *list) choose() {
	l.shown, l.rows, l.width = l.shown[:0], l.rows[:0], 0
	at := -1
	filter := strings.Fields(strings.ToLower(l.filter.value()))
	for i, path := range l.all {
		if !matches(path, l.allRows[i], filter) {
			continue
		}
		if at < 0 && path.Identity() == l.selected {
			at = len(l.shown)
		}
		l.shown, l.rows = append(l.shown, path), append(l.rows, l.allRows[i])
	}
	if at >= 0 {
		l.cursor = at
	}
	l.move(0)
}

// move moves the cursor by so many rows.
func (l *list) move(by int) {
	l.cursor = max(0, min(l.cursor+by, len(l.shown)-1))
	if len(l.shown) > 0 {
		l.selected = l.shown[l.cursor].Identity()
	}
}

// typed is a key while the filter is typed: Enter keeps it, Esc forgets it.
func (l *list) typed(msg tea.KeyPressMsg) {
	switch {
	case pressed(msg, keyBack):
		l.filter.set("")
		l.typing = false
	case pressed(msg, keyOpen):
		l.typing = false
	default:
		l.filter.update(msg)
	}
}

func (l *list) key(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case l.moved(msg):
	case pressed(msg, keyBack) && l.verifying.cancel():
	case pressed(msg, keyBack):
		l.filter.set("")
		l.choose()
	case pressed(msg, keyFilter):
		l.typing = len(l.all) > 0
	case pressed(msg, keyScope):
		return tell(push{newPicker(l.desk)})
	case pressed(msg, keyAll):
		return tell(look{namespace: l.desk.home, all: !l.desk.scope.All})
	case pressed(msg, keyWarnings) && l.desk.warned():
		return tell(push{newReading(l.desk, "warnings", l.desk.warnings)})
	case len(l.shown) > 0:
		return l.act(msg, l.shown[l.cursor].Service)
	}
	return nil
}

// moved moves the cursor, or the text that is there instead of rows, and says
// whether the key was for that.
func (l *list) moved(msg tea.KeyPressMsg) bool {
	switch {
	case len(l.shown) == 0:
		return l.pane.scroll(msg, false)
	case pressed(msg, keyUp):
		l.move(-1)
	case pressed(msg, keyDown):
		l.move(1)
	case pressed(msg, keyPageUp):
		l.move(-max(1, l.height-1))
	case pressed(msg, keyPageDown):
		l.move(max(1, l.height-1))
	case pressed(msg, keyHome):
		l.move(-len(l.shown))
	case pressed(msg, keyEnd):
		l.move(len(l.shown))
	default:
		return false
	}
	return true
}

// act is what a key does with a port.
func (l *list) act(msg tea.KeyPressMsg, port cliv1alpha1.PortReference) tea.Cmd {
	switch {
	case pressed(msg, keyOpen):
		return tell(push{newDetail(l.desk, port)})
	case pressed(msg, keyVerify):
		l.target = port
		return begin(l.ctx, &l.verifying, l.desk, l.desk.verify(port))
	default:
		return l.desk.act(msg, port)
	}
}

// verified takes the answers of a port.
func (l *list) verified(msg finished[session.Probed]) tea.Cmd {
	if !l.verifying.finish(msg.number) {
		return nil
	}
	if msg.err != nil {
		return l.desk.fault("verify "+l.desk.name(l.target), msg.err)
	}
	l.desk.keep(msg.value)
	return nil
}

// Keys are those of the list.
func (l *list) Keys() []key.Binding {
	switch {
	case l.Typing():
		return []key.Binding{bind("enter", "keep the filter", "enter"), bind("esc", "forget it", "esc")}
	case l.verifying.running:
		return append([]key.Binding{keyCancel}, l.keys()...)
	case l.filter.value() != "":
		return append([]key.Binding{bind("esc", "forget the filter", "esc")}, l.keys()...)
	default:
		return l.keys()
	}
}

func (l *list) keys() []key.Binding {
	keys := []key.Binding{}
	if len(l.shown) > 0 {
		keys = append(keys, keyOpen)
		keys = append(keys, l.desk.offered(l.shown[l.cursor].Service)...)
		keys = append(keys, keyFetch, keyVerify, keyCopy)
	}
	if len(l.all) > 0 {
		keys = append(keys, keyFilter)
	}
	keys = append(keys, keyScope)
	if l.desk.scope.All {
		keys = append(keys, keyOne)
	} else {
		keys = append(keys, keyAll)
	}
	if l.desk.warned() {
		keys = append(keys, keyWarnings)
	}
	return append(keys, moving...)
}

// Refused are the changes that are not offered for the path under the cursor.
func (l *list) Refused() []refusal {
	if len(l.shown) == 0 {
		return nil
	}
	return l.desk.refused(l.shown[l.cursor].Service)
}

// View is the table, or what there is instead of one.
func (l *list) View(width, height int) string {
	if text := l.desk.trouble(); text != "" {
		return l.pane.center(l.desk.theme, text, width, height)
	}
	if len(l.shown) == 0 && !l.Typing() {
		return l.pane.center(l.desk.theme, l.empty(), width, height)
	}
	if l.width != width {
		l.fitted, l.width = newTable(l.columns(), l.rows, width-4), width
	}
	lines := []string{"  " + l.desk.theme.title.Render(l.fitted.header())}
	// The window follows the cursor, and moves no further than it has to.
	l.height = max(1, height-2)
	l.offset = max(0, min(l.offset, len(l.rows)-l.height))
	l.offset = min(max(l.offset, l.cursor-l.height+1), l.cursor)
	for i := l.offset; i < min(len(l.rows), l.offset+l.height); i++ {
		if i == l.cursor {
			plain := func(_ int, text string) string { return text }
			lines = append(lines, l.desk.theme.cursor.Render(fit("> "+l.fitted.row(i, plain), width)))
			continue
		}
		lines = append(lines, "  "+l.fitted.row(i, l.desk.paint(l.shown[i])))
	}
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, l.status(width)), "\n")
}

// columns are without the namespace where there is only one.
func (l *list) columns() []column {
	if l.desk.scope.All {
		return listColumns
	}
	narrower := slices.Clone(listColumns)
	narrower[columnNamespace] = column{hidden: true}
	return narrower
}

// status is how many paths there are, the filter, and what else is to be known.
func (l *list) status(width int) string {
	if l.Typing() {
		const label = " filter "
		return label + l.filter.view(width-len(label), l.desk.theme.cursor, true)
	}
	if l.desk.state.Trouble.Kind != session.NoTrouble {
		return " " + l.desk.theme.bad.Render(ansi.Truncate(l.desk.state.Trouble.Text, width-2, "…"))
	}
	parts := []string{count(len(l.desk.state.Paths), "path")}
	if l.filter.value() != "" {
		parts[0] = fmt.Sprintf("%d of %s with %q", len(l.shown), parts[0], l.filter.value())
	}
	if n := len(l.desk.state.Problems); n > 0 {
		parts = append(parts, count(n, "problem")+" in the files")
	}
	if n := len(l.desk.state.Warnings); n > 0 {
		parts = append(parts, count(n, "warning"))
	}
	text := strings.Join(parts, ", ")
	if l.desk.warned() {
		text += " (w shows them)"
	}
	return " " + l.desk.theme.faint.Render(text)
}

// empty says why there is no row.
func (l *list) empty() string {
	if len(l.desk.state.Paths) > 0 {
		return fmt.Sprintf("NO MATCH\nNo path has %q.\nesc shows all %d again.",
			l.filter.value(), len(l.desk.state.Paths))
	}
	if l.desk.scope.All {
		return "NO PATHS\nNo route leads to a Service, and no BackendTLSPolicy targets one."
	}
	return fmt.Sprintf("NO PATHS\nIn namespace %s no route leads to a Service, and no BackendTLSPolicy targets one."+
		"\na shows all namespaces, n another one.", l.desk.scope.Namespace)
}
