package tui

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/backendtls/backendtls/plugin/session"
)

// work is what a screen waits for: one call of the Service at a time. Each has a
// number of its own; what comes of an older one is dropped.
type work struct {
	number   int
	end      context.CancelFunc
	running  bool
	ending   bool
	done, of int
	text     string
}

// finished is the outcome of work.
type finished[T any] struct {
	result
	number int
	value  T
	err    error
}

// report is how far work has come; more brings the next one.
type report struct {
	result
	number   int
	done, of int
	text     string
	more     <-chan report
}

// begin starts a call, in place of the one that may be under way, and results in
// a finished[T] and in reports before. It ends with ctx, which is the screen's.
func begin[T any](
	ctx context.Context, w *work, d *desk, run func(context.Context, session.Progress) (T, error),
) tea.Cmd {
	w.stop()
	d.numbers++
	number := d.numbers
	ctx, end := context.WithCancel(ctx)
	*w = work{number: number, end: end, running: true}
	reports := make(chan report, 1)
	return tea.Batch(func() tea.Msg {
		defer close(reports)
		value, err := run(ctx, func(done, of int, text string) {
			// Only the newest report counts: one that was not taken yet gives way.
			select {
			case <-reports:
			default:
			}
			reports <- report{number: number, done: done, of: of, text: text, more: reports}
		})
		return finished[T]{number: number, value: value, err: err}
	}, next(reports))
}

// next waits for the next report.
func next(reports <-chan report) tea.Cmd {
	return func() tea.Msg {
		if report, ok := <-reports; ok {
			return report
		}
		return nil
	}
}

// progress takes a report and waits for the next one.
func (w *work) progress(r report) tea.Cmd {
	if r.number == w.number {
		w.done, w.of, w.text = r.done, r.of, r.text
	}
	return next(r.more)
}

// finish says whether an outcome of that number is of what is waited for, and
// if so that there is nothing to wait for any more.
func (w *work) finish(number int) bool {
	if number != w.number || !w.running {
		return false
	}
	w.end()
	w.running = false
	return true
}

// cancel asks for an early end, and says whether that was to be asked for: it
// runs, and was not asked before. The outcome still comes.
func (w *work) cancel() bool {
	if !w.running || w.ending {
		return false
	}
	w.end()
	w.ending = true
	return true
}

// stop ends it, and no outcome is waited for.
func (w *work) stop() {
	w.cancel()
	w.running, w.number = false, 0
}

// doing says what is under way and how far it has come, "" if nothing is.
func (w *work) doing(what string) string {
	switch {
	case !w.running:
		return ""
	case w.ending:
		return "cancelling"
	case w.of > 0:
		return fmt.Sprintf("%s: %d of %d", what, w.done, w.of)
	case w.text != "":
		return w.text
	default:
		return what
	}
}
