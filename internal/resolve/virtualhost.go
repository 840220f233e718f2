package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// rankedRule is a rule with its place among those of its host.
type rankedRule struct {
	precedence gwapi.Precedence
	rule       model.Rule
}

// hostRules are the rules of one listener by hostname. The most specific
// hostname takes a request, and no other: what its rules do not match is
// answered 404, as by every implementation on Envoy, so that a route for any
// host does not get the requests of hosts that somebody else serves.
type hostRules map[string][]rankedRule

// buildListeners writes the listeners of the Gateway's model.
func (g *gatewayNode) buildListeners() []model.Listener {
	rules := map[*listenerNode]hostRules{}
	for _, compiled := range g.routes {
		for _, bound := range compiled.bindings {
			if !bound.listener.served() {
				continue
			}
			if rules[bound.listener] == nil {
				rules[bound.listener] = hostRules{}
			}
			rules[bound.listener].add(compiled, bound.hosts)
		}
	}
	ports := map[int32]*model.Listener{}
	for _, l := range g.listeners {
		if !l.served() {
			continue
		}
		if ports[l.bound] == nil {
			ports[l.bound] = &model.Listener{Port: l.bound, Declared: l.spec.Port, Protocol: l.protocol()}
		}
		ports[l.bound].Servers = append(ports[l.bound].Servers, model.Server{
			Name:         string(l.spec.Name),
			Hostname:     l.hostname,
			Certificates: l.certificates.pairs,
			Passthrough:  l.passthrough(),
			Clients:      l.clients.validation(),
			Hosts:        g.hosts(l, rules[l].without(g.withheld(l))),
		})
	}
	var listeners []model.Listener
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		listener := ports[port]
		slices.SortFunc(listener.Servers, func(a, b model.Server) int { return cmp.Compare(a.Name, b.Name) })
		listeners = append(listeners, *listener)
	}
	return listeners
}

// withheld are the hostnames within the listener's that belong to a listener
// which is not served, for example because its certificate is missing. They
// are nobody else's for that.
func (g *gatewayNode) withheld(l *listenerNode) (names []string) {
	for _, other := range g.listeners {
		if other.spec.Port == l.spec.Port && !other.served() && other.hostname != l.hostname &&
			gwapi.Covers(l.hostname, other.hostname) {
			names = append(names, other.hostname)
		}
	}
	return names
}

// add puts a route's rules on its hosts. Where two hostnames of the route come
// down to one, the more specific one counts.
func (h hostRules) add(compiled *compiledRoute, hosts []gwapi.Intersection) {
	for i, host := range hosts {
		beaten := slices.ContainsFunc(hosts, func(other gwapi.Intersection) bool {
			return other.Hostname == host.Hostname && gwapi.CompareHostnames(other.Own, host.Own) < 0
		})
		if beaten || slices.Contains(hosts[:i], host) {
			continue
		}
		if compiled.route.crowded {
			ranked := compiled.route.remainder()
			ranked.precedence.Hostname = host.Own
			h[host.Hostname] = append(h[host.Hostname], ranked)
			continue
		}
		for j := range compiled.rules {
			rule := &compiled.rules[j]
			for _, match := range rule.source.matches {
				ranked := rankedRule{precedence: match.precedence, rule: rule.rule}
				ranked.precedence.Hostname = host.Own
				ranked.rule.Match = match.match
				h[host.Hostname] = append(h[host.Hostname], ranked)
			}
		}
		if _, known := h[host.Hostname]; !known {
			// A route none of whose matches is understood still owns its host.
			h[host.Hostname] = nil
		}
	}
}

// without takes hostnames out: a host without rules remains, which is answered
// with 404.
func (h hostRules) without(withheld []string) hostRules {
	if len(withheld) == 0 {
		return h
	}
	rest := maps.Clone(h)
	if rest == nil {
		rest = hostRules{}
	}
	for _, name := range withheld {
		maps.DeleteFunc(rest, func(hostname string, _ []rankedRule) bool { return gwapi.Covers(name, hostname) })
	}
	for _, name := range withheld {
		rest[name] = nil
	}
	return rest
}

// hosts are the virtual hosts of a listener, their rules in order of
// precedence, which is noted for the digest.
func (g *gatewayNode) hosts(l *listenerNode, all hostRules) []model.VirtualHost {
	hosts := make([]model.VirtualHost, 0, len(all))
	g.order = fmt.Appendf(g.order, "listener %s\n", l.spec.Name)
	for _, hostname := range slices.Sorted(maps.Keys(all)) {
		ranked := all[hostname]
		slices.SortFunc(ranked, func(a, b rankedRule) int { return a.precedence.Compare(b.precedence) })
		g.order = append(append(append(g.order, "host "...), hostname...), '\n')
		if l.protocol() == model.TLS {
			// Every rule matches every connection: the first one takes them all.
			ranked = ranked[:min(len(ranked), 1)]
		}
		rules := make([]model.Rule, len(ranked))
		for i := range ranked {
			rules[i] = ranked[i].rule
			g.order = appendName(g.order, &ranked[i].precedence)
		}
		hosts = append(hosts, model.VirtualHost{Hostname: hostname, Rules: rules})
	}
	return hosts
}

// appendName names a match: its route and its place there.
func appendName(text []byte, p *gwapi.Precedence) []byte {
	text = append(append(append(text, p.Namespace...), '/'), p.Name...)
	text = strconv.AppendInt(append(text, '/'), int64(p.Rule), 10)
	text = strconv.AppendInt(append(text, '/'), int64(p.Match), 10)
	return append(text, '\n')
}
