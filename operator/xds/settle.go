package xds

import (
	"maps"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// goal is what an Envoy must have acknowledged to have settled a publication,
// all of whose phases were sent.
type goal struct {
	number uint64
	shares map[gwapi.Key]string
	// targets are positions in the caches.
	targets [kinds]uint64
}

// settle gives the shares of the goal to every Envoy that has reached it. It is
// level-triggered: an ACK that comes after the publisher went on counts too.
func (g *gateway) settle() {
	if g.goal == nil {
		return
	}
	for st := range g.streams {
		if st.record.goal == g.goal.number || !st.reached(g.goal.targets) {
			continue
		}
		st.record.goal = g.goal.number
		st.record.settled = maps.Clone(g.goal.shares)
		g.unsettle(st.record)
		g.changed()
	}
}

// reached says whether the Envoy acknowledged clusters, listeners and routes
// (and the secrets it asked for) up to the targets.
func (st *stream) reached(targets [kinds]uint64) bool {
	for _, k := range []kind{clusters, listeners} {
		if s := st.subscriptions[k]; s == nil || s.position() < targets[k] {
			return false
		}
	}
	if s := st.subscriptions[secrets]; s != nil && s.position() < targets[secrets] {
		return false
	}
	return st.routed(targets[routes])
}

// routed says whether the Envoy acknowledged the routes. It must have asked
// for those of every listener: between the ACK of a listener and the request
// for its routes it has none.
func (st *stream) routed(target uint64) bool {
	s := st.subscriptions[routes]
	if s != nil && s.position() < target {
		return false
	}
	for _, listener := range st.gateway.caches[listeners].items {
		for _, name := range listener.routes {
			if s == nil {
				return false
			}
			if _, asked := s.names[name]; !asked {
				return false
			}
		}
	}
	return true
}

// unsettle takes back the shares that a refusal stands against. A refused
// cluster concerns its policy, or the Gateway where it has none; a refused
// listener, route configuration or secret may concern everybody, because which
// clusters are in use follows from them.
func (g *gateway) unsettle(r *record) {
	for id, refused := range g.refused {
		switch {
		case id.kind != clusters:
			clear(r.settled)
		case refused.policy.IsZero():
			delete(r.settled, g.key)
		default:
			delete(r.settled, refused.policy)
		}
	}
}

// refusedTraffic says whether a listener or route configuration is not served
// as it was asked for, so that older ones, and what they refer to, are in use.
func (g *gateway) refusedTraffic() bool {
	for id := range g.refused {
		if id.kind.fallback() {
			return true
		}
	}
	return false
}
