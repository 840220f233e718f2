package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// buildModels writes the models of our Gateways.
func (b *builder) buildModels(policies *tlsPolicies) map[gwapi.Key]model.Gateway {
	concerned := map[gwapi.Key][]gwapi.Key{}
	for _, standing := range policies.ordered {
		concerned[standing.gateway] = append(concerned[standing.gateway], standing.policy)
	}
	gateways := make(map[gwapi.Key]model.Gateway, len(b.gateways))
	for _, node := range b.gateways {
		node.model = model.Gateway{
			Key:            node.key,
			ExclusivePorts: b.snap.Site.Standalone,
			Unresolved:     node.parameters.Fault != "" || node.parameters.Unseen != "",
			Fleet:          node.fleet(),
			Listeners:      node.buildListeners(),
			SessionLimit:   node.parameters.sessionLimit,
		}
		if node.address.ip.IsValid() {
			node.model.Address = node.address.ip.String()
		}
		if !b.snap.Site.Standalone && node.served() {
			node.model.ReadinessPort = model.DefaultReadinessPort
		}
		for _, name := range slices.Sorted(maps.Keys(node.backends)) {
			node.model.Backends = append(node.model.Backends, node.backends[name])
		}
		node.check(b.snap.Site.Standalone)
		node.stamp(concerned[node.key])
		gateways[node.key] = node.model
	}
	return gateways
}

// stamp digests what each object decides, and all of it together.
func (g *gatewayNode) stamp(policies []gwapi.Key) {
	clusters := g.clusters()
	shares := make(map[gwapi.Key]string, len(g.routes)+len(policies)+1)
	own := g.ownShare()
	shares[g.key] = own
	decided := map[gwapi.Key][]string{}
	for _, policy := range policies {
		// One that decides nothing any more has a share too: it is settled once the
		// removal of what it decided is.
		decided[policy] = nil
	}
	for _, compiled := range g.routes {
		share := compiled.share()
		if other, twice := shares[compiled.route.key]; twice {
			share = model.Digest(other, share)
		}
		shares[compiled.route.key] = share
		for policy, part := range compiled.policyParts(clusters) {
			decided[policy] = append(decided[policy], append(part, share)...)
		}
	}
	for policy, parts := range decided {
		slices.Sort(parts)
		shares[policy] = model.Digest(strings.Join(slices.Compact(parts), "\n"))
	}
	g.model.Shares = shares

	// The shares are of objects whose kinds and names cannot hold a line's end, and
	// one long string is encoded much faster than many short ones.
	var lines []byte
	for _, key := range slices.SortedFunc(maps.Keys(shares), gwapi.CompareKeys) {
		lines = append(append(append(append(lines, key.String()...), ' '), shares[key]...), '\n')
	}
	// The order of rules is what the shares leave out; the clusters' names cover
	// their trust, and the lapses are when an insecure one ends.
	g.model.Digest = model.Digest(string(lines), string(g.order), strings.Join(slices.Sorted(maps.Values(clusters)), "\n"))
}

// clusters are the Backends by name, each with what makes its cluster: its name,
// which covers the trust, and when it lapses.
func (g *gatewayNode) clusters() map[string]string {
	clusters := make(map[string]string, len(g.backends))
	for name, backend := range g.backends {
		text := name
		if backend.Trust != nil && !backend.Trust.Until.IsZero() {
			text += " until " + backend.Trust.Until.UTC().Format(time.RFC3339Nano)
		}
		clusters[name] = text
	}
	return clusters
}

// ownShare is what the Gateway's own spec decides: the ports, names and
// certificates, but no route.
func (g *gatewayNode) ownShare() string {
	type server struct {
		Port         int32
		Declared     int32
		Protocol     model.Protocol
		Name         string
		Hostname     string
		Certificates []model.KeyPair
		Clients      string `json:",omitempty"`
		Passthrough  bool
	}
	servers := []server{}
	for _, listener := range g.model.Listeners {
		for i := range listener.Servers {
			s := &listener.Servers[i]
			servers = append(servers, server{
				listener.Port, listener.Declared, listener.Protocol, s.Name, s.Hostname, s.Certificates, s.Clients.Digest(),
				s.Passthrough,
			})
		}
	}
	return model.Digest(g.key, g.model.Address, g.model.ExclusivePorts, g.model.ReadinessPort, g.model.SessionLimit,
		servers)
}

// share is what the route decides on the Gateway: its hosts and its rules.
func (c *compiledRoute) share() string {
	type place struct {
		Listener string
		Port     int32
		Declared int32
		Served   bool
		Hosts    []gwapi.Intersection
	}
	type rule struct {
		Rule    model.Rule
		Matches []model.Match
	}
	places := make([]place, len(c.bindings))
	for i, bound := range c.bindings {
		listener := bound.listener
		places[i] = place{
			string(listener.spec.Name), listener.bound, listener.spec.Port, listener.served(), bound.hosts,
		}
	}
	rules := make([]rule, len(c.rules))
	for i := range c.rules {
		rules[i].Rule = c.rules[i].rule
		for _, match := range c.rules[i].source.matches {
			rules[i].Matches = append(rules[i].Matches, match.match)
		}
	}
	return model.Digest(places, rules, c.passthrough)
}

// policyParts are, for each policy that decides about a backend of the route,
// the clusters it makes and the 500s it is the reason of.
func (c *compiledRoute) policyParts(clusters map[string]string) map[gwapi.Key][]string {
	var parts map[gwapi.Key][]string
	for i := range c.rules {
		for j := range c.rules[i].backends {
			backend := &c.rules[i].backends[j]
			if backend.decision == nil {
				continue
			}
			part := clusters[backend.name]
			if backend.name == "" {
				part = fmt.Sprintf("500 %s %d %d", c.route.key, i, j)
			}
			if parts == nil {
				parts = map[gwapi.Key][]string{}
			}
			parts[backend.decision.Policy] = append(parts[backend.decision.Policy], part)
		}
	}
	return parts
}
