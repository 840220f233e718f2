package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/target"
)

type unpinOptions struct {
	Options

	probe   ProbeFlags
	write   WriteFlags
	noProbe bool
}

// NewUnpin is `unpin`.
func NewUnpin(base Options) *cobra.Command {
	o := &unpinOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "unpin TARGET [PIN ...]",
		Short: "Drop pins: go back to spec.validation, or remove single pins",
		Long: `Drop pins.

Without PIN the policy goes back to what its spec.validation says, after it was
shown whether what the endpoints serve now would pass that. With PIN those pins
are removed; the last one is not, because a policy with pins-only and no pin
trusts nothing.

` + inClusters + `

` + withFiles + `

Rights, beside those of fetch:
  ` + rightsToChange + `.`,
		Example: example(base, `  # Back to the CA of spec.validation
  PROGRAM unpin svc/api

  # After a rotation: drop the old key
  PROGRAM unpin svc/api spki-sha256:...

  # In manifests
  PROGRAM unpin svc/api -f DIR --write`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("nothing is named: want %s", target.TargetForms)
			}
			return nil
		},
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(o.write.Validate(o.Filename), o.probe.Validate()); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0], args[1:])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	o.probe.AddTo(cmd)
	cmd.Flags().BoolVar(&o.noProbe, "no-probe", false, "Do not ask the endpoints whether they would pass afterwards")
	return cmd
}

func (o *unpinOptions) run(ctx context.Context, arg string, drop []string) error {
	pins, err := session.ParsePins(drop)
	if err != nil {
		return err
	}
	d, reference, err := o.drafter(ctx, arg, &o.write, &o.probe)
	if err != nil {
		return err
	}
	draft, err := d.Unpin(ctx, reference, session.UnpinRequest{
		Pins: pins, ServerName: o.probe.SNI, AllTargets: o.write.AllTargets, Unasked: o.noProbe,
	})
	if err != nil {
		return o.above(err)
	}
	if err := o.show(draft); err != nil {
		return err
	}
	if o.write.writes() {
		if err := o.ask(ctx, draft.Confirmation().Question, o.write.Yes); err != nil {
			return err
		}
	}
	return o.commit(ctx, draft, &o.write)
}
