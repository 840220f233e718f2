package session

import (
	"context"
	"reflect"
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Watch sends a State as soon as one is known and whenever what it shows, or what
// Forbidden says, has changed, only ever the newest one, until ctx ends; then it
// closes the channel, and nothing is under way any more.
func (s *Session) Watch(ctx context.Context, scope Scope) <-chan State {
	states := make(chan State, 1)
	go func() {
		defer close(states)
		var last State
		heard := 0
		s.Follow(ctx, scope, func(sight Sight) {
			before := heard
			heard = s.answered()
			state := s.state(scope, sight)
			if same(state, last) && heard == before {
				return
			}
			last = state
			select {
			case <-states: // The one that nobody has taken is old now.
			default:
			}
			states <- state
		})
	}()
	return states
}

// state is a sight in the words that are shown.
func (s *Session) state(scope Scope, sight Sight) State {
	state := State{
		Scope: scope, Source: s.name(), Live: s.live(), At: sight.At, Now: sight.Now,
		Events: sight.Events, Warnings: untrusted.Texts(sight.Warnings), Trouble: s.trouble(scope, sight),
	}
	if world := sight.World; world != nil {
		ports, selected := world.Within(scope.Namespace, scope.All)
		state.Paths = s.assessor(world, nil).Paths(ports, selected)
		state.Problems = assess.Problems(world.Problems)
		state.Namespaces = namespaces(world, scope)
	}
	return state
}

// same says whether two states show the same, whenever they were made.
func same(a, b State) bool {
	a.At, a.Now = b.At, b.Now
	return reflect.DeepEqual(a, b)
}

// name is what is read, for people.
func (s *Session) name() string {
	if s.live() {
		return untrusted.Text(s.config.Cluster.Name())
	}
	return untrusted.Text(s.config.Filename)
}

// assessor judges a world and what was observed, which may be nil.
func (s *Session) assessor(world *collect.World, observed tunnel.Observations) *assess.Assessor {
	return &assess.Assessor{
		World: world, Observations: observed, ServerName: ServerName, Program: s.config.Program,
		Source: s.source(), Local: s.config.Via == ViaPortForward,
	}
}

// namespaces are those that may be chosen: all where they can be listed, else
// those that are known of. Files have some that nobody wrote, such as default.
func namespaces(world *collect.World, scope Scope) []string {
	var list []string
	if _, hidden := world.Hidden(gwapi.KindNamespace, ""); world.Live() && !hidden {
		for _, namespace := range world.Snapshot.Namespaces.Sorted() {
			list = append(list, namespace.Name)
		}
	} else {
		list = peopled(world)
	}
	if !scope.All {
		list = append(list, scope.Namespace)
	}
	list = untrusted.Texts(list)
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(name string) bool { return name == "" })
}

// peopled are the namespaces of what was read, with repetitions.
func peopled(world *collect.World) []string {
	var list []string
	for _, path := range world.Result.Paths {
		list = append(list, path.Route.Namespace, path.Gateway.Namespace)
	}
	for _, port := range world.Ports() {
		list = append(list, port.Service.Namespace)
	}
	for _, gateway := range world.Snapshot.Gateways.Sorted() {
		list = append(list, gateway.Namespace)
	}
	for _, policy := range world.Snapshot.TLSPolicies.Sorted() {
		list = append(list, policy.Namespace)
	}
	return list
}
