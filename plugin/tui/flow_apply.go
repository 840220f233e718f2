package tui

import (
	"context"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// applying is the step in which the change is written. It cannot be taken back
// by then, and so Esc does not pretend to.
type applying struct {
	flow    *dialog
	draft   session.Draft
	escaped bool
	// held says that it was interrupted once.
	held bool
}

// apply makes the change.
func (f *dialog) apply(draft session.Draft) tea.Cmd {
	f.step = &applying{flow: f, draft: draft}
	return begin(f.ctx, &f.work, f.desk, func(ctx context.Context, _ session.Progress) (struct{}, error) {
		return struct{}{}, draft.Commit(ctx)
	})
}

func (s *applying) update(msg tea.Msg) tea.Cmd {
	if pressed(msg, keyBack) {
		s.escaped = true
		return nil
	}
	done, ok := msg.(finished[struct{}])
	if !ok || !s.flow.work.finish(done.number) {
		return nil
	}
	// Also where it failed: a part may be written, or something else is there.
	s.flow.written = true
	if done.err != nil {
		return s.flow.fail(done.err)
	}
	return s.flow.acknowledge(s.draft)
}

func (s *applying) view(width, height int) string {
	lines := styled(s.flow.desk.theme.title, "Writing btlspolicy/"+untrusted.Text(s.draft.Policy()), width)
	switch {
	case s.held:
		lines = append(lines, "")
		lines = append(lines, prose("It is being written already. Ctrl-C again quits without the outcome: "+
			"nobody knows then whether it is written.", width)...)
	case s.escaped:
		lines = append(lines, "")
		lines = append(lines,
			prose("It is being written already, and Esc does not take it back. Wait for the outcome.", width)...)
	}
	return sized(lines, width, height)
}

// keys are none: there is nothing to do but to wait.
func (s *applying) keys() []key.Binding { return nil }

// typing keeps the root's shortcuts away: a quit by a slip would leave open
// whether it was written.
func (s *applying) typing() bool { return true }

// acknowledging is the step in which the change is written, and the Envoys are
// waited for.
type acknowledging struct {
	flow  *dialog
	draft session.Draft
}

var (
	keyUnwait = bind("esc", "stop waiting", "esc")
	keyClose  = bind("enter", "close", "enter", "esc")
)

// acknowledge follows the Envoys.
func (f *dialog) acknowledge(draft session.Draft) tea.Cmd {
	f.step = &acknowledging{flow: f, draft: draft}
	return begin(f.ctx, &f.work, f.desk, func(ctx context.Context, progress session.Progress) (string, error) {
		last := ""
		err := draft.Acknowledged(ctx, func(text string) {
			last = text
			progress(0, 0, text)
		})
		return last, err
	})
}

func (s *acknowledging) update(msg tea.Msg) tea.Cmd {
	f := s.flow
	if pressed(msg, keyUnwait) {
		f.work.stop()
		return f.conclude(outcome{
			draft: s.draft, standing: "Not waited for: whether it is in force says the status of the policy.",
		})
	}
	done, ok := msg.(finished[string])
	if !ok || !f.work.finish(done.number) {
		return nil
	}
	out := outcome{draft: s.draft, standing: done.value, fault: done.err}
	return run(f, "Applied. Asking the endpoints of "+f.service()+" for the new verdicts",
		func() tea.Cmd { return f.conclude(out) },
		f.desk.verify(f.port),
		func(probed session.Probed, err error) tea.Cmd {
			if out.probed, out.unprobed = &probed, err; err == nil {
				f.desk.keep(probed)
			}
			return f.conclude(out)
		})
}

func (s *acknowledging) view(width, height int) string {
	lines := styled(s.flow.desk.theme.good, "Applied: btlspolicy/"+untrusted.Text(s.draft.Policy())+" is written.", width)
	lines = append(lines, s.flow.progress(width)...)
	lines = append(lines, "")
	lines = append(lines, prose("Esc stops waiting for the Envoys; what is written stays written.", width)...)
	return sized(lines, width, height)
}

func (s *acknowledging) keys() []key.Binding { return []key.Binding{keyUnwait} }

func (s *acknowledging) typing() bool { return false }
