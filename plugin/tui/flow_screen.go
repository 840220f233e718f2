package tui

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// dialog is the screen of one change of one port, from the first question to the
// verdicts afterwards. It is at one step at a time, and has one call of the
// Service under way at most.
type dialog struct {
	desk *desk
	name string
	port cliv1alpha1.PortReference
	ctx  context.Context
	end  context.CancelFunc
	work work
	step step
	// start begins the flow, and begins it again where that is offered; what was
	// chosen and typed before is kept by whoever made the flow.
	start func() tea.Cmd
	// written says that something was: the screen below is told so.
	written bool
}

// step is what a flow shows and takes at one moment.
type step interface {
	update(msg tea.Msg) tea.Cmd
	view(width, height int) string
	keys() []key.Binding
	typing() bool
}

func newDialog(d *desk, name string, port cliv1alpha1.PortReference) *dialog {
	ctx, end := context.WithCancel(d.ctx)
	return &dialog{desk: d, name: name, port: port, ctx: ctx, end: end}
}

// Init begins.
func (f *dialog) Init() tea.Cmd { return f.start() }

// Update gives a message to the step.
func (f *dialog) Update(msg tea.Msg) (screen, tea.Cmd) {
	if report, ok := msg.(report); ok {
		return f, f.work.progress(report)
	}
	return f, f.step.update(msg)
}

// View is the step's, behind a blank as everywhere.
func (f *dialog) View(width, height int) string {
	lines := strings.Split(f.step.view(width-1, height), "\n")
	for i, line := range lines {
		lines[i] = " " + line
	}
	return sized(lines, width, height)
}

// Title says what is done.
func (f *dialog) Title() string { return f.name }

// Keys are the step's.
func (f *dialog) Keys() []key.Binding { return f.step.keys() }

// Typing says whether letters are text, or have to wait because something is
// being written.
func (f *dialog) Typing() bool { return f.step.typing() }

// Leave ends what is under way.
func (f *dialog) Leave() { f.end() }

// Writing is the policy that is being written.
func (f *dialog) Writing() string {
	if s, ok := f.step.(*applying); ok {
		return "btlspolicy/" + untrusted.Text(s.draft.Policy())
	}
	return ""
}

// Hold says, once, that the outcome is waited for.
func (f *dialog) Hold() bool {
	s, ok := f.step.(*applying)
	if !ok || s.held {
		return false
	}
	s.held = true
	return true
}

// leave goes back to the screen below.
func (f *dialog) leave() tea.Cmd {
	f.work.stop()
	if f.written {
		return tell(pop{tell: changed{}})
	}
	return tell(pop{})
}

// service is how the port is called: svc/api:443.
func (f *dialog) service() string { return fmt.Sprintf("svc/%s:%d", f.port.Name, f.port.Port) }

// run shows that a call of the Service is waited for, and what comes of it is
// given to then. Esc cancels it and does what escape says.
func run[T any](
	f *dialog, doing string, escape func() tea.Cmd,
	call func(context.Context, session.Progress) (T, error), then func(T, error) tea.Cmd,
) tea.Cmd {
	f.step = &waiting{flow: f, doing: doing, escape: escape, outcome: func(msg tea.Msg) tea.Cmd {
		if done, ok := msg.(finished[T]); ok && f.work.finish(done.number) {
			return then(done.value, done.err)
		}
		return nil
	}}
	return begin(f.ctx, &f.work, f.desk, call)
}
