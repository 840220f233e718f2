package command

import (
	"context"
	"time"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// await says what becomes of a written policy on every Gateway of ours.
func (o *Options) await(ctx context.Context, draft *session.Plan, wait time.Duration) error {
	shown := o.reading("written")
	defer shown.done()
	settled, err := draft.Await(ctx, wait, func(text string) { shown.show(o.fitting(text)) })
	shown.done()
	onStderr := *o
	onStderr.Out = o.ErrOut
	for _, text := range settled {
		if columns := onStderr.columns(); columns > 0 {
			text = view.Wrapped(columns, text)
		}
		o.note("%s", text)
	}
	return err
}

// fitting is a text, some of which others wrote, on one line of the terminal
// that stderr is, behind a word.
func (o *Options) fitting(text string) string {
	onStderr := *o
	onStderr.Out = o.ErrOut
	line := []rune(untrusted.Text(text))
	const before = len("written: ") + 1
	if columns := onStderr.columns(); columns > before && len(line) > columns-before {
		line = line[:columns-before]
	}
	return string(line)
}
