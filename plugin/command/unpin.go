package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/view"
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
	pins, err := parsePins(drop)
	if err != nil {
		return err
	}
	s, err := o.subject(ctx, arg)
	if err != nil {
		return err
	}
	if s.policy == nil {
		return fmt.Errorf("%s has no policy, and so no pins", service(s.port))
	}
	if err := s.readable(); err != nil {
		return err
	}
	if err := s.single(&o.Options, o.write.AllTargets); err != nil {
		return err
	}
	d, err := s.draft(edit.Create{})
	if err != nil {
		return err
	}
	if d.edit, err = edit.Unpin(d.policy, pins); err != nil {
		return err
	}
	if err := o.preview(ctx, d, &o.write); err != nil {
		return err
	}
	shown := o.change(d)
	if err := showChanges(shown, d); err != nil {
		return err
	}
	if err := o.foresee(ctx, shown, d); err != nil {
		return err
	}
	if err := shown.Print(o.ErrOut); err != nil {
		return err
	}
	if o.write.writes() {
		if err := o.ask(ctx, "Write "+d.medium.written()+"?", o.write.Yes); err != nil {
			return err
		}
	}
	return o.commit(ctx, d, &o.write, "unpinned")
}

func parsePins(args []string) ([]pin.Pin, error) {
	pins := make([]pin.Pin, len(args))
	for i, arg := range args {
		parsed, err := pin.Parse(arg)
		if err != nil {
			return nil, err
		}
		pins[i] = parsed
	}
	return pins, nil
}

// foresee says whether the endpoints would pass the changed policy. It
// forbids nothing: going back to a CA may be the first step of getting there.
func (o *unpinOptions) foresee(ctx context.Context, shown *view.Change, d *draft) error {
	if next, found := d.next.Port(d.ports[0].Key()); found && unseen(next.Strict) {
		shown.Say("Whether the endpoints would pass the changed policy cannot be foretold: %s", d.plain(next.Strict.Fault))
		return nil
	}
	if _, fault := d.enforced(d.ports[0]); fault != "" {
		shown.Say("The changed policy would be refused, and every request answered 500: %s", fault)
		return nil
	}
	if o.noProbe {
		return nil
	}
	ports, err := o.Redirect(ctx, &o.probe, d.ports)
	if err != nil {
		return err
	}
	observed, err := o.Observe(ctx, &o.probe, ports)
	if err != nil {
		return err
	}
	out := d.foretell(ports, o.probe.ServerName, observed)
	switch {
	case out.asked == 0:
		shown.Say("There is no endpoint to ask whether it would pass the changed policy.")
	case len(out.failing) == 0:
		shown.Say("Every endpoint would pass the changed policy now (%s asked).", endpoints(out.asked))
	default:
		shown.Say("%d of %s would not pass the changed policy now:", len(out.failing), endpoints(out.asked))
		for _, line := range out.failing {
			shown.Item(line)
		}
	}
	return nil
}
