package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/tunnel"
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

Without PIN: the policy goes back to what its spec.validation says, after
showing whether what the endpoints serve now would pass it. With PIN: those
pins are removed; the last one is not, because a policy with pins-only and no
pin trusts nothing.

Without --write the resulting manifest is printed and nothing is changed.`,
		Example: example(base, `  # Back to the CA of spec.validation
  PROGRAM unpin svc/api -f DIR --write

  # After a rotation: drop the old key
  PROGRAM unpin svc/api spki-sha256:... -f DIR --write`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("nothing is named: want %s", target.TargetForms)
			}
			return nil
		},
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(o.write.Validate(), o.probe.Validate()); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd, args[0], args[1:])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	o.probe.AddTo(cmd)
	cmd.Flags().BoolVar(&o.noProbe, "no-probe", false, "Do not ask the endpoints whether they would pass afterwards")
	return cmd
}

func (o *unpinOptions) run(ctx context.Context, cmd *cobra.Command, arg string, drop []string) error {
	pins, err := parsePins(drop)
	if err != nil {
		return err
	}
	world, port, err := o.writable(cmd, arg)
	if err != nil {
		return err
	}
	if port.Policy == nil {
		return fmt.Errorf("svc/%s:%d has no policy, so no pins", port.Service.Name, port.Spec.Port)
	}
	if err := single(port.Policy, o.write.AllTargets); err != nil {
		return err
	}
	d := &draft{world: world, port: port, policy: port.Policy}
	if d.edit, err = edit.Unpin(port.Policy, pins); err != nil {
		return err
	}
	if err := d.preview(); err != nil {
		return err
	}
	o.showChanges(d)
	if err := o.foresee(ctx, d); err != nil {
		return err
	}
	if o.write.Write {
		if err := o.ask("Write "+d.written()+"?", o.write.Yes); err != nil {
			return err
		}
	}
	return o.commit(d, &o.write, "unpinned")
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
func (o *unpinOptions) foresee(ctx context.Context, d *draft) error {
	if o.noProbe {
		return nil
	}
	next, found := d.next.Port(d.port.Key())
	if !found || next.Strict.Policy == nil || next.Strict.Policy.Written == nil {
		o.note("The changed policy would be refused and requests answered 500: %s", next.Strict.Fault)
		return nil
	}
	ports, err := o.Redirect(ctx, &o.probe, []collect.Port{d.port})
	if err != nil {
		return err
	}
	observed, err := o.Observe(ctx, &o.probe, ports)
	if err != nil {
		return err
	}
	o.foretell(ports[0], next.Strict.Policy.Written, observed, d)
	return nil
}

func (o *unpinOptions) foretell(
	port collect.Port, trust *model.Trust, observed tunnel.Observations, d *draft,
) {
	passing := 0
	for _, endpoint := range port.Endpoints {
		seen := observed[tunnel.Job{Endpoint: endpoint, SNI: o.probe.ServerName(port)}.Question()]
		checks := verify.Observed(seen, trust, d.world.Snapshot.Now)
		if verify.Accepts(checks) {
			passing++
			continue
		}
		for _, check := range checks {
			if check.Outcome == verify.Fail {
				o.note("  %s would fail: %s", endpoint.Address, check.Message)
			}
		}
	}
	o.note("%d of %s would pass the changed policy.", passing, counted(len(port.Endpoints), "endpoint"))
}
