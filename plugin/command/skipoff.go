package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
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
	reference, err := target.ParseTarget(arg)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := o.offOnce(ctx, reference)
		if !errors.Is(err, edit.ErrChanged) || attempt == offAttempts {
			return err
		}
		o.note("Once more: %v", err)
	}
}

func (o *skipOptions) offOnce(ctx context.Context, reference target.Reference) error {
	world, err := o.World(ctx)
	if err != nil {
		return err
	}
	policy, err := o.moded(world, reference)
	if err != nil {
		return err
	}
	if policy == nil {
		o.note("%s has no mode to end.", reference)
		return nil
	}
	d := &draft{world: world, policy: policy, closing: true, edit: edit.SkipVerifyOff()}
	if err := o.preview(ctx, d, &o.write); err != nil {
		return err
	}
	if !d.changes() {
		o.note("btlspolicy/%s has no mode to end.", policy.Name)
		return nil
	}
	shown := o.change(d)
	if err := showChanges(shown, d); err != nil {
		return err
	}
	if err := shown.Print(o.ErrOut); err != nil {
		return err
	}
	// Where nobody can be asked it goes ahead: closing must never be in the way.
	if o.write.writes() && o.interactive() {
		if err := o.ask(ctx, "Write "+d.medium.written()+"?", o.write.Yes); err != nil {
			return err
		}
	}
	return o.commit(ctx, d, &o.write, "has no mode any more")
}

// moded is the policy to end the mode of: the one that is named, or the one
// with a mode that decides about a port of the Service. Nil if none has one.
func (o *skipOptions) moded(world *collect.World, reference target.Reference) (*gatewayv1.BackendTLSPolicy, error) {
	name := types.NamespacedName{Namespace: o.Namespace(), Name: reference.Name}
	if reference.Kind == gwapi.KindBackendTLSPolicy {
		if policy, found := world.Snapshot.TLSPolicies.Get(name); found {
			return policy, nil
		}
		_, err := reference.Ports(world, o.Namespace())
		return nil, err
	}
	ports, missing := reference.ServicePorts(world, o.Namespace())
	var deciding []*gatewayv1.BackendTLSPolicy
	for _, port := range ports {
		if port.Policy != nil && hasMode(port.Policy) && !slices.Contains(deciding, port.Policy) {
			deciding = append(deciding, port.Policy)
		}
	}
	// Policies that target the Service and do not decide: they lost it to
	// another one, or the Service is not there or not usable. A port that it
	// has not is a slip.
	_, exists := world.Snapshot.Services.Get(name)
	idle := slices.DeleteFunc(targeting(world, name), func(policy *gatewayv1.BackendTLSPolicy) bool {
		return slices.Contains(deciding, policy) || reference.Port != "" && exists
	})
	switch {
	case len(deciding) == 1:
		return deciding[0], nil
	case len(deciding) > 1:
		return nil, severalModed(reference, deciding)
	case len(idle) == 1:
		return idle[0], nil
	case len(idle) > 1:
		return nil, severalModed(reference, idle)
	default:
		return nil, missing
	}
}

func severalModed(reference target.Reference, policies []*gatewayv1.BackendTLSPolicy) error {
	names := make([]string, len(policies))
	for i, policy := range policies {
		names[i] = "btlspolicy/" + policy.Name
	}
	return fmt.Errorf("several policies with a mode target %s, name one: %s", reference, strings.Join(names, ", "))
}

// targeting lists the policies with a mode that target the Service.
func targeting(world *collect.World, service types.NamespacedName) []*gatewayv1.BackendTLSPolicy {
	return slices.DeleteFunc(world.Snapshot.TLSPolicies.Sorted(), func(policy *gatewayv1.BackendTLSPolicy) bool {
		return policy.Namespace != service.Namespace || !hasMode(policy) ||
			!slices.ContainsFunc(policy.Spec.TargetRefs, func(ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
				return string(ref.Name) == service.Name
			})
	})
}

// hasMode says whether a policy names any of the options of a mode.
func hasMode(policy *gatewayv1.BackendTLSPolicy) bool { return edit.SkipVerifyOff().Changes(policy) }
