package envoy

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
)

// port is a listener of the model and the servers on it that can be told
// apart, in their order.
type port struct {
	model.Listener

	servers   []model.Server
	hostnames map[string]bool
}

// newPort looks at the servers of a listener. The model has no two with one
// hostname; if it had, the first would be the one.
func (t *translation) newPort(l model.Listener) port {
	p := port{
		Listener:  l,
		servers:   make([]model.Server, 0, len(l.Servers)),
		hostnames: make(map[string]bool, len(l.Servers)),
	}
	for _, server := range l.Servers {
		t.try(t.gateway.Key, ListenerName(l)+"/"+server.Name, func() error {
			if !listenerHostname(server.Hostname) {
				return fmt.Errorf("the hostname %q is not a DNS name, nor one behind *. as a wildcard", server.Hostname)
			}
			if p.hostnames[server.Hostname] {
				return fmt.Errorf("another listener of port %d has the hostname %q too", l.Port, server.Hostname)
			}
			p.hostnames[server.Hostname] = true
			p.servers = append(p.servers, server)
			return nil
		})
	}
	return p
}

// declared is the port by which clients know the listener.
func (p port) declared() int32 { return cmp.Or(p.Declared, p.Port) }

// owner is the hostname of the server that takes a host, or every host of a
// wildcard: the most specific one that covers it.
func (p port) owner(hostname string) string {
	if p.hostnames[hostname] {
		return hostname
	}
	rest := strings.TrimPrefix(hostname, "*.")
	if rest != hostname && p.hostnames["*."+rest] {
		return "*." + rest
	}
	for found := true; found; {
		if _, rest, found = strings.Cut(rest, "."); found && p.hostnames["*."+rest] {
			return "*." + rest
		}
	}
	return ""
}
