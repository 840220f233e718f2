package command

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/view"
)

type verifyOptions struct {
	Options

	probe      ProbeFlags
	output     OutputFlag
	choose     SelectFlags
	ignoreMode bool
}

// NewVerify is `verify`.
func NewVerify(base Options) *cobra.Command {
	o := &verifyOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "verify [TARGET ... | -l SELECTOR | -A]",
		Short: "Check the live certificates as Envoy does, and say what would fix them",
		Long: `Make every check that Envoy makes, against every live endpoint, and say which
fails and what would fix it.

TARGET is svc/NAME[:PORT] or btlspolicy/NAME. Without one: every port in the
namespace (-A: in all) that a policy decides about, or that needs one.
--ignore-mode judges by the policy as written, without its mode: may
skip-verify be turned off?

Exit code 0: yes, every endpoint passes. 1: no. 2: no answer, because nothing
can be reached, there is no target, or the command line or a file is wrong.

` + rightsToRead + rightsToAsk,
		Example: example(base, `  # Would a request reach the Service?
  PROGRAM verify svc/api

  # May skip-verify be turned off?
  PROGRAM verify svc/api --ignore-mode && PROGRAM skip-verify off svc/api

  # In CI: do the certificates pass the policies in this directory?
  PROGRAM verify -A -f DIR`),
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(args); err != nil {
				return judging(err)
			}
			return judging(o.run(cmd.Context(), args))
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return judging(cmd.Parent().FlagErrorFunc()(cmd, err))
	})
	o.AddFileFlag(cmd)
	o.choose.AddTo(cmd)
	o.output.AddTo(cmd, append([]string{view.Table, view.Wide, view.Name}, view.Documents()...)...)
	o.probe.AddTo(cmd)
	cmd.Flags().BoolVar(&o.ignoreMode, "ignore-mode", false, "Judge by the policy as written, without its mode")
	return cmd
}

func (o *verifyOptions) validate(args []string) error {
	return errors.Join(o.choose.Validate(args), o.output.Validate(), o.probe.Validate())
}

func (o *verifyOptions) run(ctx context.Context, args []string) error {
	world, err := o.world(ctx, o.choose.AllNamespaces)
	if err != nil {
		return err
	}
	ports, missing := o.ports(world, args)
	if len(ports) == 0 && missing != nil {
		return missing
	}
	ports, observed, interrupted, err := o.answers(ctx, &o.probe, ports, len(args) > 0)
	if err != nil {
		return err
	}
	items := o.Assessor(world, &o.probe, observed).Verifications(ports, o.ignoreMode)
	if err := o.print(world, items, len(args) > 0, interrupted != nil); err != nil {
		return err
	}
	if interrupted != nil {
		return interrupted
	}
	answer := assess.AnswerOf(items)
	if answer == assess.No {
		return &Exit{Code: No, Err: missing}
	}
	if err := incomplete(world, missing); err != nil {
		return err
	}
	if answer == assess.NoAnswer {
		return &Exit{Code: NoAnswer, Err: errors.New("no answer: an endpoint cannot be reached, there is none, " +
			"or what it must show could not be read")}
	}
	return nil
}

func (o *verifyOptions) ports(world *collect.World, args []string) ([]collect.Port, error) {
	if len(args) > 0 {
		return targets(world, o.Namespace(), args)
	}
	ports := slices.DeleteFunc(o.choose.ports(world, o.Namespace()), func(port collect.Port) bool {
		return port.Policy == nil && !lacksPolicy(port)
	})
	if len(ports) == 0 {
		return nil, errors.New("no port that a policy decides about: nothing to verify")
	}
	return ports, nil
}

// lacksPolicy says whether requests fail for want of a policy: the port's
// appProtocol forbids plaintext.
func lacksPolicy(port collect.Port) bool {
	return slices.ContainsFunc(port.Paths, func(path model.Path) bool {
		return path.Ours && path.FaultReason == string(gatewayv1.RouteReasonUnsupportedProtocol)
	})
}

func (o *verifyOptions) print(
	world *collect.World, items []cliv1alpha1.Verification, named, interrupted bool,
) error {
	format := o.output.Format
	if view.IsDocument(format) {
		return view.Document(o.Out, format, cliv1alpha1.VerificationList{
			Header: cliv1alpha1.NewHeader(cliv1alpha1.KindVerificationList),
			Items:  items, Interrupted: interrupted, Problems: assess.Problems(world.Problems),
		})
	}
	if format == view.Name {
		return o.printNames(len(items), func(i int) cliv1alpha1.PortReference { return items[i].Service }, o.choose)
	}
	if !named {
		return view.VerificationList(o.Out, items, format == view.Wide, o.choose.AllNamespaces)
	}
	verified := view.Verified{Style: o.Style(), Now: world.Snapshot.Now}
	return o.sections(len(items), func(int, int) bool { return false },
		func(from, _ int) error { return verified.Print(o.Out, items[from]) })
}
