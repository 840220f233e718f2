package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
)

// ErrNoMode is wrapped by what SkipOff says where there is nothing to end.
var ErrNoMode = errors.New("has no mode to end")

// SkipOff drafts that the policy as written is enforced at once. Nothing that is
// wrong with the policy, the files or what leads to the Service forbids that.
func (d *Drafter) SkipOff(ctx context.Context, reference target.Reference) (*Plan, error) {
	policy, err := d.moded(reference)
	if err != nil {
		return nil, err
	}
	if policy == nil {
		return nil, fmt.Errorf("%s %w", reference, ErrNoMode)
	}
	p := &Plan{drafter: d, world: d.World, policy: policy, closing: true, edit: edit.SkipVerifyOff()}
	p.done = "has no mode any more"
	if err := p.preview(ctx); err != nil {
		return nil, err
	}
	if !p.Changes() {
		return nil, fmt.Errorf("btlspolicy/%s %w", policy.Name, ErrNoMode)
	}
	p.tell = p.changed
	p.confirmation = Confirmation{Question: "Write " + p.Written() + "?"}
	return p, nil
}

// moded is the policy to end the mode of: the one that is named, or the one
// with a mode that decides about a port of the Service. Nil if none has one.
func (d *Drafter) moded(reference target.Reference) (*gatewayv1.BackendTLSPolicy, error) {
	name := types.NamespacedName{Namespace: d.Namespace, Name: reference.Name}
	if reference.Kind == gwapi.KindBackendTLSPolicy {
		if policy, found := d.World.Snapshot.TLSPolicies.Get(name); found {
			return policy, nil
		}
		_, err := reference.Ports(d.World, d.Namespace)
		return nil, err
	}
	ports, missing := reference.ServicePorts(d.World, d.Namespace)
	var deciding []*gatewayv1.BackendTLSPolicy
	for _, port := range ports {
		if port.Policy != nil && hasMode(port.Policy) && !slices.Contains(deciding, port.Policy) {
			deciding = append(deciding, port.Policy)
		}
	}
	// Policies that target the Service and do not decide: they lost it to
	// another one, or the Service is not there or not usable. A port that it
	// has not is a slip.
	_, exists := d.World.Snapshot.Services.Get(name)
	idle := slices.DeleteFunc(targeting(d.World, name), func(policy *gatewayv1.BackendTLSPolicy) bool {
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
