package envoy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// misdirected is 421 (RFC 9110 section 15.5.20): the client may ask again on
// another connection.
const misdirected = 421

// manyServers is the number of servers on a port of HTTPS from which on a
// request for a host that belongs to another server, and that the connection's
// own server does not cover, is answered 404 instead of 421 (a SHOULD): the
// table of who is somebody else's grows with the square of it.
const manyServers = 64

// hosts are virtual hosts by domain. Envoy takes the most specific domain that
// matches, and no other.
type hosts map[string]*routev3.VirtualHost

// routes writes a route configuration.
func (t *translation) routes(name string, virtual hosts) {
	t.try(t.gateway.Key, name, func() error {
		written := &routev3.RouteConfiguration{
			Name: name,
			// The Host header may name the port, in any of the ways by which the
			// client reached it.
			IgnorePortInHostMatching: true,
			// MissingCluster is one that does not exist, on purpose.
			ValidateClusters: wrapperspb.Bool(false),
		}
		for _, domain := range slices.Sorted(maps.Keys(virtual)) {
			written.VirtualHosts = append(written.VirtualHosts, virtual[domain])
		}
		if err := validate(written); err != nil {
			return err
		}
		t.out.Routes[name] = written
		return nil
	})
}

// plainHosts are the virtual hosts of a port of HTTP, of all its servers. A
// server has one for its own hostname even where it has no rules, so that no
// less specific server answers in its stead (Gateway API, listener isolation).
func (t *translation) plainHosts(p port) hosts {
	virtual := hosts{}
	for _, server := range p.servers {
		virtual.host(domain(server.Hostname))
		t.addHosts(virtual, p, server)
	}
	return virtual
}

// serverHosts are the virtual hosts behind one server name of a port of HTTPS:
// those of the server; 421 for those of others (Gateway API, Listener.hostname,
// on misdirected requests); and Envoy's 404 for the rest.
func (t *translation) serverHosts(p port, server model.Server) hosts {
	virtual := hosts{}
	virtual.host(domain(server.Hostname))
	t.addHosts(virtual, p, server)
	for _, other := range p.servers {
		if other.Hostname == server.Hostname ||
			len(p.servers) > manyServers && !covers(server.Hostname, other.Hostname) {
			continue
		}
		virtual.host(domain(other.Hostname)).Routes = []*routev3.Route{misdirectedRoute()}
	}
	return virtual
}

// addHosts adds the hosts of a server.
func (t *translation) addHosts(virtual hosts, p port, server model.Server) {
	for _, host := range bySpecificity(server.Hosts) {
		hostname := cmp.Or(host.Hostname, server.Hostname)
		t.try(t.gateway.Key, ListenerName(p.Listener)+"/"+server.Name+"/"+domain(hostname), func() error {
			if !listenerHostname(hostname) {
				return fmt.Errorf("the hostname %q is not a DNS name, nor one behind *. as a wildcard", hostname)
			}
			if !covers(server.Hostname, hostname) {
				return fmt.Errorf("the hostname %q is none of the listener's %q", hostname, server.Hostname)
			}
			if p.owner(hostname) != server.Hostname {
				// Not a fault: a route may list hosts that another listener takes.
				return nil
			}
			into := virtual.host(domain(hostname))
			for i := range host.Rules {
				into.Routes = append(into.Routes, t.rule(p, hostname, &host.Rules[i])...)
			}
			return t.persist(into)
		})
	}
}

// bySpecificity puts rules for every host of a server behind those that name
// the very hostname, should there be both.
func bySpecificity(all []model.VirtualHost) []model.VirtualHost {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b model.VirtualHost) int {
		return cmp.Compare(len(b.Hostname), len(a.Hostname))
	})
	return sorted
}

// host is the virtual host of a domain, made where it does not exist.
func (h hosts) host(domain string) *routev3.VirtualHost {
	if h[domain] == nil {
		h[domain] = &routev3.VirtualHost{Name: domain, Domains: []string{domain}}
	}
	return h[domain]
}

// misdirectedRoute tells the client to ask the right server.
func misdirectedRoute() *routev3.Route {
	return &routev3.Route{
		Name:   "misdirected",
		Match:  anyPath(),
		Action: directResponse(misdirected),
	}
}
