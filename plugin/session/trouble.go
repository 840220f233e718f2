package session

import (
	"errors"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// trouble is why there is nothing to show, or why it is old.
func (s *Session) trouble(scope Scope, sight Sight) Trouble {
	switch {
	case errors.Is(sight.Err, collect.ErrNoGatewayAPI):
		return Trouble{
			Kind: NoGatewayAPI,
			Text: "This cluster has no Gateway API: no kind of gateway.networking.k8s.io is served.",
			Next: "Whoever runs the cluster installs it with its Gateway controller, or with `" + collect.InstallGatewayAPI +
				"`. It is noticed here when it is there.",
		}
	case sight.Err != nil:
		return s.unreachable(sight)
	case sight.World == nil:
		return Trouble{}
	}
	ports, _ := sight.World.Within(scope.Namespace, scope.All)
	if len(ports) > 0 {
		return Trouble{}
	}
	if missing := decisive(sight.World.Missing()); len(missing) > 0 {
		return Trouble{
			Kind: NothingVisible, Missing: missing,
			Text: "There may be something here that you may not see.",
			Next: "Ask whoever runs the cluster for these rights, which the ClusterRole view has where the operator's " +
				"manifests are installed, or look at another namespace.",
		}
	}
	if gateways := gatewaysIn(sight.World, scope); gateways > 0 {
		return Trouble{}
	}
	return s.noGateways(scope, ourClass(sight.World))
}

// unreachable says what does not answer.
func (s *Session) unreachable(sight Sight) Trouble {
	trouble := Trouble{
		Kind: Unreachable, Text: untrusted.Text(upper(sight.Err.Error())) + ".",
		Next: "It is asked again until it answers. Is the network or the VPN there, and has the credential expired?",
	}
	if !s.live() {
		trouble.Next = "It is looked at again until it can be read."
	}
	return trouble
}

// upper begins an error as a sentence, unless it begins with a name.
func upper(text string) string {
	for _, verb := range [...]string{"cannot ", "reading ", "listing ", "getting ", "no ", "the "} {
		if strings.HasPrefix(text, verb) {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return text
}

// noGateways is an empty scope.
func (s *Session) noGateways(scope Scope, class string) Trouble {
	trouble := Trouble{
		Kind: NoGateways,
		Text: "No Gateway, no route to a Service and no BackendTLSPolicy is in namespace " +
			untrusted.Text(scope.Namespace) + ".",
		Next: "Look at another namespace, or at all of them.",
	}
	switch {
	case !s.live() && scope.All:
		trouble.Text = "No Gateway, no route to a Service and no BackendTLSPolicy is in " + s.name() + "."
		trouble.Next = "Read another directory with -f, or add a Gateway: it is shown here as soon as it is saved."
	case scope.All && class != "":
		trouble.Text = "No Gateway, no route to a Service and no BackendTLSPolicy is in this cluster."
		trouble.Next = "Create a Gateway of the GatewayClass " + class + ": it is shown here as soon as it exists."
	case scope.All:
		trouble.Text = "No Gateway, no route to a Service and no BackendTLSPolicy is in this cluster."
		trouble.Next = "Create a GatewayClass of controllerName " + gwapi.ControllerName + " and a Gateway of that class: " +
			"it is shown here as soon as it exists."
	}
	return trouble
}

// ourClass is the first GatewayClass of this project's controller, "" without one.
func ourClass(world *collect.World) string {
	for _, class := range world.Snapshot.GatewayClasses.Sorted() {
		if class.Spec.ControllerName == gwapi.ControllerName {
			return untrusted.Text(class.Name)
		}
	}
	return ""
}

// gatewaysIn counts the Gateways of a scope.
func gatewaysIn(world *collect.World, scope Scope) int {
	count := 0
	for _, gateway := range world.Snapshot.Gateways.Sorted() {
		if scope.All || gateway.Namespace == scope.Namespace {
			count++
		}
	}
	return count
}

// decisive are those of the missing rights without which paths may stay unseen.
func decisive(missing []collect.Missing) []string {
	var list []string
	for _, right := range missing {
		switch right.Kind {
		case gwapi.KindGateway, gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute, gwapi.KindTCPRoute,
			gwapi.KindService, gwapi.KindBackendTLSPolicy:
			list = append(list, right.String())
		default: // Nothing is shown because of those alone.
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
