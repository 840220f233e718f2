package envoy

import (
	"fmt"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// handshakeTimeout is how long a client may take to say which server it wants
// and to finish its TLS handshake.
const handshakeTimeout = 10 * time.Second

// listener writes a port and the route configurations behind it.
func (t *translation) listener(l model.Listener) {
	name := ListenerName(l)
	t.try(t.gateway.Key, name, func() error {
		if t.ports[l.Port] {
			return fmt.Errorf("port %d has another listener too", l.Port)
		}
		t.ports[l.Port] = true
		written, err := t.newListener(l, name)
		if err != nil {
			return err
		}
		if err := validate(written); err != nil {
			return err
		}
		t.out.Listeners[name] = written
		return nil
	})
}

func (t *translation) newListener(l model.Listener, name string) (*listenerv3.Listener, error) {
	if l.Port < 1 || l.Port > 65535 {
		return nil, fmt.Errorf("port %d is not between 1 and 65535", l.Port)
	}
	written := &listenerv3.Listener{
		Name:                          name,
		StatPrefix:                    statPrefix(l),
		Address:                       socketAddress(t.gateway.Address, uint32(l.Port)),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(connectionBuffer),
	}
	if t.gateway.ExclusivePorts {
		// With SO_REUSEPORT two Envoys of one user share a port without an error,
		// and each client gets one or the other.
		written.EnableReusePort = wrapperspb.Bool(false)
	}
	var err error
	switch l.Protocol {
	case model.HTTP:
		written.FilterChains, err = t.plainChain(t.newPort(l))
	case model.HTTPS:
		written.FilterChains, err = t.serverChains(t.newPort(l))
		if err == nil {
			written.ListenerFiltersTimeout = durationpb.New(handshakeTimeout)
			written.ListenerFilters, err = inspectTLS()
		}
	case model.TLS:
		written.FilterChains, err = t.streamChains(t.newPort(l))
		if err == nil {
			written.ListenerFiltersTimeout = durationpb.New(handshakeTimeout)
			written.ListenerFilters, err = inspectTLS()
		}
	default:
		err = fmt.Errorf("protocol %q is none of %s, %s, %s", l.Protocol, model.HTTP, model.HTTPS, model.TLS)
	}
	return written, err
}

// statPrefix keeps the statistics of a port together whatever its address.
func statPrefix(l model.Listener) string {
	return fmt.Sprintf("%s-%d", scheme(l.Protocol), l.Port)
}

// plainChain is the one filter chain of a port of HTTP.
func (t *translation) plainChain(p port) ([]*listenerv3.FilterChain, error) {
	name := RouteName(p.Listener)
	t.routes(name, t.plainHosts(p))
	filters, err := httpFilters(p.Listener, name, nil)
	if err != nil {
		return nil, err
	}
	return []*listenerv3.FilterChain{{Name: name, Filters: filters}}, nil
}

// serverChains is a filter chain for each server name. A connection for a
// name that has none is closed in the handshake: there is no default chain.
func (t *translation) serverChains(p port) ([]*listenerv3.FilterChain, error) {
	var chains []*listenerv3.FilterChain
	for _, server := range p.servers {
		name := ServerRouteName(p.Listener, server.Hostname)
		t.try(t.gateway.Key, name, func() error {
			chain, err := t.serverChain(p.Listener, server, name)
			if err != nil {
				return err
			}
			t.routes(name, tellBackends(t.serverHosts(p, server), server.Clients))
			chains = append(chains, chain)
			return nil
		})
	}
	if len(chains) == 0 {
		return nil, fmt.Errorf("port %d has no server with a usable certificate", p.Port)
	}
	return chains, nil
}

func (t *translation) serverChain(
	l model.Listener, server model.Server, name string,
) (*listenerv3.FilterChain, error) {
	socket, err := t.downstreamTLS(server, "h2", "http/1.1")
	if err != nil {
		return nil, err
	}
	filters, err := httpFilters(l, name, server.Clients)
	if err != nil {
		return nil, err
	}
	match := &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
	if server.Hostname != "" {
		match.ServerNames = []string{server.Hostname}
	}
	chain := &listenerv3.FilterChain{
		Name:                          name,
		FilterChainMatch:              match,
		Filters:                       filters,
		TransportSocket:               socket,
		TransportSocketConnectTimeout: durationpb.New(handshakeTimeout),
	}
	return chain, validate(chain)
}

// inspectTLS reads the server name before the handshake.
func inspectTLS() ([]*listenerv3.ListenerFilter, error) {
	packed, err := pack(&inspectorv3.TlsInspector{})
	if err != nil {
		return nil, err
	}
	return []*listenerv3.ListenerFilter{{
		Name:       tlsInspector,
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed},
	}}, nil
}
