package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// NewSkipVerify is `skip-verify`.
func NewSkipVerify(base Options) *cobra.Command {
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
				return fmt.Errorf("%q: want `%s on TARGET` or `%[2]s off TARGET`", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
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
this machine. On a terminal the policy's name has to be typed, elsewhere --yes
has to be given.

Without --write the resulting manifest is printed and nothing is changed.`,
		Example: example(base, `  # Everything is accepted for two hours
  PROGRAM skip-verify on svc/api --for 2h --reason "incident 4711" -f DIR --write

  # Only expired certificates are, everything else is still checked
  PROGRAM skip-verify on svc/api --only expiry --for 2h --reason "renewal is stuck" -f DIR --write`),
		Args:              oneTarget,
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.write.Validate(); err != nil {
				return err
			}
			return o.on(cmd, args[0])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	o.create.AddTo(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&o.duration, "for", 0, "How long, such as 2h or 30m (required)")
	flags.StringVar(&o.reason, "reason", "", "Why; shown in status, Events and audits")
	flags.StringVar(&o.only, "only", "", "Skip only one check: expiry or name")
	flags.BoolVar(&o.allowUnattached, "allow-unattached", false, "Write although no Gateway of ours leads to the Service")
	return cmd
}

func (o *skipOptions) on(cmd *cobra.Command, arg string) error {
	mode, known := onlyModes[o.only]
	if !known {
		return fmt.Errorf("--only is %q: want expiry or name", o.only)
	}
	if o.duration == 0 {
		return errors.New("--for is missing: say how long, such as --for 2h")
	}
	world, port, err := o.writable(cmd, arg)
	if err != nil {
		return err
	}
	if err := attached(port, o.allowUnattached, o.portable(port)); err != nil {
		return err
	}
	d, err := o.start(world, port)
	if err != nil {
		return err
	}
	request := edit.SkipVerify{Mode: mode, Since: world.Snapshot.Now, For: o.duration, Reason: o.reason}
	if d.edit, err = request.On(); err != nil {
		return err
	}
	if err := d.preview(); err != nil {
		return err
	}
	if err := d.judge(); err != nil {
		return err
	}
	o.showChanges(d)
	if err := o.confirmOn(d); err != nil {
		return err
	}
	return o.commit(d, &o.write, "asks for "+string(mode)+" for "+o.duration.String())
}

// start is the draft: the policy that decides, or one that trusts System.
func (o *skipOptions) start(world *collect.World, port collect.Port) (*draft, error) {
	if port.Policy != nil {
		if err := single(port.Policy, o.write.AllTargets); err != nil {
			return nil, err
		}
		return &draft{world: world, port: port, policy: port.Policy}, nil
	}
	return newDraft(world, port, edit.Create{
		Name: o.create.PolicyName, Hostname: o.create.Hostname,
		WellKnown: gatewayv1.WellKnownCACertificatesSystem,
	})
}

func (o *skipOptions) confirmOn(d *draft) error {
	switch {
	case !o.write.Write || o.write.Yes:
		return nil
	case o.interactive():
		return o.askName("Anybody on the path could then read and change what is sent.", d.policy.Name)
	default:
		return errors.New("there is no terminal to confirm on: add --yes")
	}
}

func newSkipVerifyOff(base Options) *cobra.Command {
	o := &skipOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "off TARGET",
		Short: "End an insecure mode now: the policy as written is enforced",
		Long: `End an insecure mode now: the policy as written is enforced at once. This always
works, whatever Gateways allow.

Without --write the resulting manifest is printed and nothing is changed.`,
		Example: example(base, `  PROGRAM skip-verify off svc/api -f DIR --write`),
		Args:    oneTarget, ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.write.Validate(); err != nil {
				return err
			}
			return o.off(cmd, args[0])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	return cmd
}

func (o *skipOptions) off(cmd *cobra.Command, arg string) error {
	world, port, err := o.writable(cmd, arg)
	if err != nil {
		return err
	}
	d := &draft{world: world, port: port, policy: port.Policy, edit: edit.SkipVerifyOff()}
	if d.policy == nil || !d.edit.Changes(d.policy) {
		o.note("svc/%s:%d has no mode: verification is as written already.", port.Service.Name, port.Spec.Port)
		return nil
	}
	if err := d.preview(); err != nil {
		return err
	}
	o.showChanges(d)
	// Without anybody to ask it goes ahead: closing must never be in the way.
	if o.write.Write && o.interactive() {
		if err := o.ask("Write "+d.written()+"?", o.write.Yes); err != nil {
			return err
		}
	}
	return o.commit(d, &o.write, "is strict again")
}
