package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/edit"
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

// onlyModes are the values of --only.
var onlyModes = map[string]model.Mode{
	"":       model.InsecureSkipVerification,
	"expiry": model.InsecureAllowExpired,
	"name":   model.InsecureSkipOnlySANVerification,
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
	flags.DurationVar(&o.duration, "for", 0, "How long, such as 2h or 30m (required)")
	flags.StringVar(&o.reason, "reason", "", "Why; shown in status, Events and audits")
	flags.StringVar(&o.only, "only", "", "Skip only one check: expiry or name")
	flags.BoolVar(&o.allowUnattached, "allow-unattached", false, "Write although no Gateway of ours leads to the Service")
	return cmd
}

func (o *skipOptions) on(ctx context.Context, arg string) error {
	mode, known := onlyModes[o.only]
	if !known {
		return fmt.Errorf("--only is %q: want expiry or name", o.only)
	}
	if o.duration == 0 {
		return errors.New("--for is missing: say how long, such as --for 2h")
	}
	o.roots = true
	s, err := o.subject(ctx, arg)
	if err != nil {
		return err
	}
	request := edit.SkipVerify{Mode: mode, Since: s.world.Snapshot.Now, For: o.duration, Reason: o.reason}
	if s.world.Live() {
		if request.Since, err = o.serverTime(ctx); err != nil {
			return err
		}
	}
	d, err := o.draftOn(ctx, s, request)
	if err != nil {
		return err
	}
	shown := o.change(d)
	if err := showChanges(shown, d); err != nil {
		return err
	}
	until := request.Until().Format(time.RFC3339)
	shown.Say("%s It ends by itself at %s; `skip-verify off` ends it before.", weakens(mode), until)
	if d.created {
		shown.Say("After that the endpoints need certificates of a public CA for %s: pin what they serve, or name their CA.",
			d.policy.Spec.Validation.Hostname)
	}
	if err := shown.Print(o.ErrOut); err != nil {
		return err
	}
	if err := o.confirmOn(ctx, d); err != nil {
		return err
	}
	return o.commit(ctx, d, &o.write, fmt.Sprintf("asks for %s until %s", mode, until))
}

// draftOn refuses whatever is not allowed, and drafts the change.
func (o *skipOptions) draftOn(ctx context.Context, s *subject, request edit.SkipVerify) (*draft, error) {
	for _, check := range []func() error{
		func() error { return o.create.check(s) },
		s.readable,
		s.charted,
		func() error { return s.single(&o.Options, o.write.AllTargets) },
		func() error { return s.attached(o.allowUnattached, o.portable(s)) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	// The hostname is not taken from what is served, as pin does: with the
	// system's roots it would vouch, once the mode is over, for whoever answered
	// while nobody looked.
	d, err := s.draft(edit.Create{
		Name: o.create.PolicyName, Hostname: o.create.Hostname,
		WellKnown: gatewayv1.WellKnownCACertificatesSystem,
	})
	if err != nil {
		return nil, err
	}
	if d.edit, err = request.On(); err != nil {
		return nil, err
	}
	if err := o.preview(ctx, d, &o.write); err != nil {
		return nil, err
	}
	return d, d.allowed(request.Mode)
}

// weakens says what a mode means.
func weakens(mode model.Mode) string {
	switch mode {
	case model.InsecureAllowExpired:
		return "Certificates are accepted whatever their dates, also those of their issuers."
	case model.InsecureSkipOnlySANVerification:
		return "Any certificate of the trusted CA is accepted, whatever name it carries."
	default:
		return "Any certificate is accepted: anybody on the path can read and change what is sent."
	}
}

func (o *skipOptions) confirmOn(ctx context.Context, d *draft) error {
	switch {
	case !o.write.writes() || o.write.Yes:
		return nil
	case o.interactive():
		return o.askName(ctx, d.policy.Name)
	default:
		return errors.New("nothing was written: there is no terminal to confirm on; add --yes")
	}
}
