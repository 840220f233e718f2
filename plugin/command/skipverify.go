package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/plugin/session"
)

// NewSkipVerify is `skip-verify`.
func NewSkipVerify(base Options) *cobra.Command {
	forms := func(cmd *cobra.Command) string {
		return fmt.Sprintf("want `%s on TARGET` or `%[1]s off TARGET`", cmd.CommandPath())
	}
	cmd := &cobra.Command{
		Use:   "skip-verify",
		Short: "Weaken verification for a limited time, where the Gateway allows it, or end that",
		Long: `Weaken verification for a limited time, or end that.

"on" asks for an insecure mode. It is refused unless every Gateway that leads to
the Service allows it in its GatewayParameters: for this mode, this namespace
and this long. It ends by itself, and SecurityDegraded in the policy's status
says since when, until when and why. "off" always works.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q: %s", args[0], forms(cmd))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(failed *cobra.Command, err error) error {
		if failed == cmd {
			return fmt.Errorf("%w: %s", err, forms(cmd))
		}
		return cmd.Parent().FlagErrorFunc()(failed, err)
	})
	cmd.AddCommand(newSkipVerifyOn(base), newSkipVerifyOff(base))
	return cmd
}

type skipOptions struct {
	Options

	write  WriteFlags
	create CreateFlags

	duration        time.Duration
	reason          string
	only            string
	allowUnattached bool
}

func newSkipVerifyOn(base Options) *cobra.Command {
	o := &skipOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "on TARGET --for DURATION --reason TEXT",
		Short: "Ask for an insecure mode until DURATION from now",
		Long: `Ask for an insecure mode until DURATION from now. It starts now, by the clock of
the API server; with -f, of this machine. On a terminal the name of the policy
has to be typed, elsewhere --yes has to be given. A Service without a policy gets
one that trusts the system's roots once the mode is over.

` + inClusters + `

` + withFiles + `

Rights, beside those of inspect:
  ` + rightsToCreate + `.`,
		Example: example(base, `  # Everything is accepted for two hours
  PROGRAM skip-verify on svc/api --for 2h --reason "incident 4711"

  # Only expired certificates are, everything else is still checked
  PROGRAM skip-verify on svc/api --only expiry --for 2h --reason "renewal is stuck"

  # In manifests
  PROGRAM skip-verify on svc/api --for 2h --reason "no certificate yet" -f DIR --write`),
		Args:              oneTarget,
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.write.Validate(o.Filename); err != nil {
				return err
			}
			return o.on(cmd.Context(), args[0])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	o.create.AddTo(cmd, "NAME.NAMESPACE.svc")
	flags := cmd.Flags()
	flags.DurationVar(&o.duration, "for", 0, "How long, such as 30m, 2h or 48h (required)")
	flags.StringVar(&o.reason, "reason", "", "Why; shown in status, Events and audits")
	flags.StringVar(&o.only, "only", "", "Skip only one check: expiry or name")
	flags.BoolVar(&o.allowUnattached, "allow-unattached", false, "Write although no Gateway of ours leads to the Service")
	return cmd
}

func (o *skipOptions) on(ctx context.Context, arg string) error {
	mode, err := session.ModeOf(o.only)
	if err != nil {
		return err
	}
	if err := session.CheckFor(o.duration); err != nil {
		return err
	}
	o.roots = true
	d, reference, err := o.drafter(ctx, arg, &o.write, &ProbeFlags{})
	if err != nil {
		return err
	}
	draft, err := d.SkipOn(ctx, reference, session.SkipRequest{
		Naming: o.create.Naming, Mode: mode, For: o.duration, Reason: o.reason,
		AllTargets: o.write.AllTargets, AllowUnattached: o.allowUnattached,
	})
	if err != nil {
		return o.above(err)
	}
	if err := o.show(draft); err != nil {
		return err
	}
	if err := o.confirmOn(ctx, draft); err != nil {
		return err
	}
	return o.commit(ctx, draft, &o.write)
}

func (o *skipOptions) confirmOn(ctx context.Context, draft *session.Plan) error {
	switch {
	case !o.write.writes() || o.write.Yes:
		return nil
	case o.interactive():
		return o.askName(ctx, draft.Confirmation().Type)
	default:
		return errors.New("nothing was written: there is no terminal to confirm on; add --yes")
	}
}
