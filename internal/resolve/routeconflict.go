package resolve

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// claimedHost is a hostname on a listener.
type claimedHost struct {
	listener *listenerNode
	hostname string
}

// separateKinds lets every hostname of a listener be that of HTTPRoutes or of
// GRPCRoutes: their rules are not to be merged, and their precedences cannot be
// compared. Of two routes of both kinds the older keeps the hostname, then the
// one that comes first by name; the other is not attached to that listener
// (GRPCRouteSpec.hostnames). One that is refused as a whole is attached to none,
// and takes a hostname from no route: its 500 is answered where no route of the
// other kind is served. Hostnames that merely overlap are kept apart anyway: the
// most specific one takes a request, and no other.
func separateKinds(routes []*routeNode) {
	refused := map[*routeNode]int{}
	for _, route := range routes {
		if route.refusal() != nil {
			refused[route] = 1
		}
	}
	byAge := slices.Clone(routes)
	slices.SortStableFunc(byAge, func(x, y *routeNode) int {
		return cmp.Or(cmp.Compare(refused[x], refused[y]), x.compareAge(y))
	})
	owners := map[claimedHost]gwapi.Key{}
	for _, route := range byAge {
		for _, a := range route.attachments {
			if isOurs(a.gateway.class) {
				a.separate(route.key, owners)
			}
		}
	}
}

// separate drops the bindings whose hostnames belong to routes of another kind,
// and claims those of the others.
func (a *attachment) separate(route gwapi.Key, owners map[claimedHost]gwapi.Key) {
	a.bindings = slices.DeleteFunc(a.bindings, func(bound binding) bool {
		for _, host := range bound.hosts {
			owner, claimed := owners[claimedHost{bound.listener, host.Hostname}]
			if claimed && owner.Kind != route.Kind {
				a.conflicts = append(a.conflicts, fmt.Sprintf(
					"%s of listener %s belongs to %s, which is older or comes first by name; "+
						"rules of both kinds are not mixed", shownHost(host.Hostname), bound.listener.spec.Name, owner))
				return true
			}
		}
		for _, host := range bound.hosts {
			claim := claimedHost{bound.listener, host.Hostname}
			if _, claimed := owners[claim]; !claimed {
				owners[claim] = route
			}
		}
		return false
	})
	if len(a.bindings) == 0 && len(a.conflicts) > 0 {
		a.refused = report.RouteHostnameConflict(a.conflicts)
	}
}

func shownHost(hostname string) string {
	if hostname == "" {
		return "every hostname"
	}
	return fmt.Sprintf("hostname %q", hostname)
}
