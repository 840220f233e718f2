package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// app is the root: it has the stack of screens, what is around them, and the
// watch of the world.
type app struct {
	desk          *desk
	color, light  bool
	stack         []level
	levels        int
	width, height int
	said          []say
	quit          context.CancelFunc
	unwatch       context.CancelFunc
	watching      int
	ticking       bool
	// torn is what was being written when the person left.
	torn string
}

// level is a screen of the stack, and its number.
type level struct {
	number int
	screen screen
}

func newApp(ctx context.Context, quit context.CancelFunc, config Config) *app {
	d := &desk{
		ctx: ctx, service: config.Service, theme: newTheme(false, config.Color), program: config.Program,
		source: untrusted.Text(config.Source), readOnly: config.ReadOnly, scope: config.Scope,
		// A machine that slept has no steady clock: only the one on the wall goes on.
		now:   func() time.Time { return config.Now().Round(0) },
		pause: pause,
		home:  config.Scope.Namespace, asked: map[cliv1alpha1.PortReference]probed{}, answers: map[question]string{},
	}
	d.advance()
	return &app{desk: d, color: config.Color, quit: quit, unwatch: func() {}}
}

// Init shows the list and begins to watch.
func (a *app) Init() tea.Cmd {
	background := tea.Cmd(tea.RequestBackgroundColor)
	if !a.color {
		background = nil
	}
	return tea.Batch(background, a.insert(len(a.stack), newList(a.desk)), a.watch())
}

// Update takes a message to where it belongs.
func (a *app) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	a.desk.advance()
	cmd := a.take(msg)
	return a, tea.Batch(cmd, a.tick())
}

func (a *app) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		a.width, a.height = msg.Width, msg.Height
		return nil
	case tea.BackgroundColorMsg:
		a.light = !msg.IsDark()
		a.desk.theme = newTheme(a.light, a.color)
		return nil
	case tea.KeyPressMsg:
		return a.key(msg)
	case tea.PasteMsg:
		if top := len(a.stack) - 1; top >= 0 && a.stack[top].screen.Typing() && !a.tooSmall() {
			return a.give(top, msg)
		}
		return nil
	case addressed:
		return a.deliver(msg)
	case watched:
		return a.see(msg)
	case ticked:
		a.ticking = false
		return a.everywhere(worldChanged{})
	default:
		if len(a.stack) == 0 {
			return nil
		}
		return a.give(len(a.stack)-1, msg)
	}
}

// key is a key of the root, or of the screen on top. What was said goes with it.
func (a *app) key(msg tea.KeyPressMsg) tea.Cmd {
	said := a.said
	a.said = nil
	top := len(a.stack) - 1
	switch {
	case top < 0:
		return a.leave()
	case pressed(msg, keyInterrupt):
		if w, ok := a.stack[top].screen.(writer); ok && w.Hold() {
			return nil
		}
		return a.leave()
	case a.tooSmall() && (a.stack[top].screen.Typing() || !pressed(msg, keyQuit)):
		a.said = said
		return nil
	case a.stack[top].screen.Typing():
		return a.give(top, msg)
	case pressed(msg, keyQuit):
		return a.leave()
	case pressed(msg, keyHelp):
		if _, helping := a.stack[top].screen.(*help); helping {
			return a.give(top, msg)
		}
		return a.insert(top+1, newHelp(a.desk, a.stack[top].screen))
	case pressed(msg, keyExplain) && len(said) > 0:
		return a.insert(top+1, newReading(a.desk, "message", func(int) string { return texts(said) }))
	default:
		return a.give(top, msg)
	}
}

// texts is everything that was said.
func texts(said []say) string {
	list := make([]string, len(said))
	for i, each := range said {
		list[i] = untrusted.Lines(each.text)
	}
	return strings.Join(list, "\n\n")
}

// give updates a screen.
func (a *app) give(i int, msg tea.Msg) tea.Cmd {
	updated, cmd := a.stack[i].screen.Update(msg)
	a.stack[i].screen = updated
	return address(a.stack[i].number, cmd)
}

// insert puts a screen at a place of the stack.
func (a *app) insert(i int, s screen) tea.Cmd {
	a.levels++
	added := level{number: a.levels, screen: s}
	a.stack = slices.Insert(a.stack, i, added)
	return address(added.number, s.Init())
}

// deliver brings a message to the screen it is for, or does what that screen
// asks of the stack. Messages for a screen that was left are dropped.
func (a *app) deliver(msg addressed) tea.Cmd {
	clear(a.desk.answers)
	for i, level := range a.stack {
		if level.number != msg.to {
			continue
		}
		switch order := msg.msg.(type) {
		case push:
			return a.insert(i+1, order.screen)
		case pop:
			return a.pop(i, order.tell)
		case say:
			a.said = append(a.said, order)
			return nil
		case look:
			return a.look(order)
		default:
			return a.give(i, msg.msg)
		}
	}
	return nil
}

// pop leaves a screen and those over it. The list at the bottom stays.
func (a *app) pop(i int, tell tea.Msg) tea.Cmd {
	if i == 0 {
		return nil
	}
	for _, level := range slices.Backward(a.stack[i:]) {
		level.screen.Leave()
	}
	a.stack = a.stack[:i]
	if tell == nil {
		return nil
	}
	return a.give(i-1, tell)
}

// leave ends everything that is under way, and the program.
func (a *app) leave() tea.Cmd {
	a.torn = a.writing()
	for _, level := range slices.Backward(a.stack) {
		level.screen.Leave()
	}
	a.stack = nil
	a.unwatch()
	a.quit()
	return tea.Quit
}

// writing is what is being written, or was when the person left; "" for nothing.
func (a *app) writing() string {
	for _, level := range a.stack {
		if w, ok := level.screen.(writer); ok && w.Writing() != "" {
			return w.Writing()
		}
	}
	return a.torn
}

// watched is a state of the watch of that number; more brings the next one.
type watched struct {
	number int
	state  session.State
	more   <-chan session.State
}

// watch begins to follow what the scope holds.
func (a *app) watch() tea.Cmd {
	a.unwatch()
	ctx, end := context.WithCancel(a.desk.ctx)
	a.unwatch = end
	a.watching++
	number, service, scope := a.watching, a.desk.service, a.desk.scope
	return func() tea.Msg { return follow(number, service.Watch(ctx, scope)) }
}

// follow waits for the next state.
func follow(number int, states <-chan session.State) tea.Msg {
	if state, ok := <-states; ok {
		return watched{number: number, state: state, more: states}
	}
	return nil
}

// see takes a state, tells it to every screen, and waits for the next one. Those
// of a scope that was left are dropped, and nobody waits for more of them: their
// context has ended.
func (a *app) see(msg watched) tea.Cmd {
	if msg.number != a.watching {
		return nil
	}
	a.desk.take(msg.state)
	more := func() tea.Msg { return follow(msg.number, msg.more) }
	return tea.Batch(more, a.everywhere(worldChanged{}))
}

// everywhere gives a message to every screen.
func (a *app) everywhere(msg tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for i := range a.stack {
		cmds = append(cmds, a.give(i, msg))
	}
	return tea.Batch(cmds...)
}

// look turns to another scope; what is known of the old one is forgotten.
func (a *app) look(to look) tea.Cmd {
	a.desk.scope = session.Scope{Namespace: to.namespace, All: to.all}
	a.desk.home = to.namespace
	a.desk.forget()
	return tea.Batch(a.watch(), a.everywhere(worldChanged{}))
}

// ticked says that a countdown shows another second.
type ticked struct{}

// tick waits for the next second, while something on the screen counts.
func (a *app) tick() tea.Cmd {
	if a.ticking || len(a.stack) == 0 || !a.counting() {
		return nil
	}
	a.ticking = true
	wait := time.Second
	for _, mode := range a.desk.active {
		if mode.until.IsZero() {
			continue
		}
		if rest := mode.until.Sub(a.desk.clock) % time.Second; rest > 0 {
			wait = min(wait, rest+time.Millisecond)
		}
	}
	ctx := a.desk.ctx
	return func() tea.Msg {
		if sleep(ctx, wait); ctx.Err() != nil {
			return nil
		}
		return ticked{}
	}
}

// pause is a moment on the clock.
func pause(ctx context.Context) { sleep(ctx, moment) }

// sleep waits, or until the context ends.
func sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// counting says whether a time that is shown runs.
func (a *app) counting() bool {
	return a.desk.known && (a.desk.state.Trouble.Kind == session.Unreachable || len(a.desk.active) > 0)
}

// View is the whole terminal.
func (a *app) View() tea.View {
	shown := tea.NewView("")
	shown.AltScreen = true
	shown.WindowTitle = a.desk.program
	if len(a.stack) > 0 && a.width > 0 && a.height > 0 {
		shown.Content = strings.Join(a.frame(), "\n")
	}
	return shown
}
