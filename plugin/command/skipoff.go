package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

func newSkipVerifyOff(base Options) *cobra.Command {
	o := &skipOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "off TARGET",
		Short: "End an insecure mode now: the policy as written is enforced",
		Long: `End an insecure mode now: the policy as written is enforced at once. This always
works: whatever the Gateways allow, whether a route leads to the Service, and
whatever else is wrong with the policy or the files. Where there is no terminal
to ask on, it goes ahead.

` + inClusters + `

` + withFiles + `

Rights, beside those of inspect:
  ` + rightsToChange + `.`,
		Example: example(base, `  PROGRAM skip-verify off svc/api

  # In manifests
  PROGRAM skip-verify off svc/api -f DIR --write`),
		Args: oneTarget, ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.write.Validate(o.Filename); err != nil {
				return err
			}
			return o.off(cmd.Context(), args[0])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	return cmd
}

// offAttempts bounds how often ending a mode starts again because somebody
// changed the policy meanwhile.
const offAttempts = 3

// off ends the mode. What closes must not fail because of what somebody else is
// doing: it looks again.
func (o *skipOptions) off(ctx context.Context, arg string) error {
	for attempt := 1; ; attempt++ {
		err := o.offOnce(ctx, arg)
		if !errors.Is(err, edit.ErrChanged) || attempt == offAttempts {
			return err
		}
		o.note("Once more: %v", err)
	}
}

func (o *skipOptions) offOnce(ctx context.Context, arg string) error {
	d, reference, err := o.drafter(ctx, arg, &o.write, &ProbeFlags{})
	if err != nil {
		return err
	}
	draft, err := d.SkipOff(ctx, reference)
	if errors.Is(err, session.ErrNoMode) {
		o.note("%v.", err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := o.show(draft); err != nil {
		return err
	}
	// Where nobody can be asked it goes ahead: closing must never be in the way.
	if o.write.writes() && o.interactive() {
		if err := o.ask(ctx, draft.Confirmation().Question, o.write.Yes); err != nil {
			return err
		}
	}
	return o.commit(ctx, draft, &o.write)
}
