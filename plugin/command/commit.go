package command

import (
	"context"
	"fmt"
	"io"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// commit makes the change of a draft, or prints the manifest where that was not
// asked for.
func (o *Options) commit(ctx context.Context, draft *session.Plan, f *WriteFlags) error {
	changes := draft.Changes()
	if f.writes() {
		if err := draft.Commit(ctx); err != nil {
			return err
		}
	}
	if err := o.printOutcome(draft, f); err != nil {
		return err
	}
	switch {
	case f.writes() && !f.files && changes:
		return o.await(ctx, draft, f.Wait)
	case f.writes() || !changes:
	case f.DryRun == dryRunServer:
		o.note("A dry run: the API server would take it, and nothing was written.")
	case f.DryRun == dryRunClient:
		o.note("A dry run: nothing was written.")
	default:
		o.note("Nothing was written: --write writes %s.", draft.Written())
	}
	return nil
}

// printOutcome prints what was asked for: what was done, or the manifest.
func (o *Options) printOutcome(draft *session.Plan, f *WriteFlags) error {
	if !f.writes() || f.format() != "" {
		return o.printManifest(draft, f.format())
	}
	done, where := draft.Done(), ""
	if !draft.Changes() {
		done = "unchanged"
	}
	if f.files {
		where = " (" + untrusted.Text(draft.Written()) + ")"
	}
	_, err := fmt.Fprintf(o.Out, "btlspolicy/%s %s%s\n", draft.Policy(), done, where)
	return err
}

// printManifest prints the policy, and the ConfigMap that it needs: to a terminal
// without what would drive it, to anything else as it is.
func (o *Options) printManifest(draft *session.Plan, format string) error {
	text := draft.Manifest()
	switch format {
	case view.Name:
		text = fmt.Sprintf("backendtlspolicy.gateway.networking.k8s.io/%s\n", draft.Policy())
	case view.JSON:
		var err error
		if text, err = draft.JSON(); err != nil {
			return err
		}
	}
	if printers.IsTerminal(o.Out) {
		text = untrusted.Lines(text)
	}
	_, err := io.WriteString(o.Out, text)
	return err
}
