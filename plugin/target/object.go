package target

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
)

// Behind lists the ports that there is something to say about when the object
// is inspected: every used port of a Service (all, if none is used), every port
// that a policy decides about, every port behind a Gateway or route. A policy
// that decides about nothing gives an IdlePolicyError together with the ports
// that it targets.
func (r Reference) Behind(world *collect.World, namespace string) ([]collect.Port, error) {
	switch r.Kind {
	case gwapi.KindService:
		ports, err := r.ServicePorts(world, namespace)
		if used := slices.DeleteFunc(slices.Clone(ports), unused); len(used) > 0 {
			return used, err
		}
		return ports, err
	case gwapi.KindBackendTLSPolicy:
		return r.ofPolicy(world, namespace)
	default:
		name := types.NamespacedName{Namespace: namespace, Name: r.Name}
		if !slices.Contains(NamesOf(world.Snapshot, r.Kind), name) {
			return nil, r.absent(world, namespace)
		}
		return slices.DeleteFunc(world.Ports(), func(port collect.Port) bool {
			return !slices.ContainsFunc(port.Paths, func(path model.Path) bool {
				return r.Selects(namespace, &path)
			})
		}), nil
	}
}

// Selects says whether a path to one of the ports that are Behind the reference
// is meant: every one for a Service and a policy, those that lead through it for
// a Gateway and a route. Path is nil for a port that no route leads to.
func (r Reference) Selects(namespace string, path *model.Path) bool {
	key := gwapi.KeyOf(r.Kind, namespace, r.Name)
	switch r.Kind {
	case gwapi.KindService, gwapi.KindBackendTLSPolicy:
		return true
	case gwapi.KindGateway:
		return path != nil && path.Gateway == key
	default:
		return path != nil && path.Route == key
	}
}
