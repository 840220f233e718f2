package envoy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// tcpProxy passes the bytes of a connection on.
const tcpProxy = "envoy.filters.network.tcp_proxy"

// streams are filter chains by server name. Envoy takes the most specific name
// that matches, and no other; a connection for a name that has none is closed.
type streams map[string]*listenerv3.FilterChain

// streamChains is a filter chain for each server name of a port of TLS. A server
// has one for its own hostname even where no route wants it, so that no less
// specific server takes the connections in its stead (Gateway API, listener
// isolation).
func (t *translation) streamChains(p port) ([]*listenerv3.FilterChain, error) {
	chains := streams{}
	for _, server := range p.servers {
		for i := range server.Hosts {
			t.stream(chains, p, server, &server.Hosts[i])
		}
		if chains[domain(server.Hostname)] == nil {
			t.stream(chains, p, server, &model.VirtualHost{Hostname: server.Hostname})
		}
	}
	var written []*listenerv3.FilterChain
	for _, name := range slices.Sorted(maps.Keys(chains)) {
		written = append(written, chains[name])
	}
	if len(written) == 0 {
		return nil, fmt.Errorf("port %d has no server that could be told apart", p.Port)
	}
	return written, nil
}

// stream writes the filter chain of a host. One that cannot be written closes its
// connections: without it a wider name would take them.
func (t *translation) stream(chains streams, p port, server model.Server, host *model.VirtualHost) {
	hostname := cmp.Or(host.Hostname, server.Hostname)
	name := ListenerName(p.Listener) + "/" + domain(hostname)
	switch {
	case !listenerHostname(hostname) || !covers(server.Hostname, hostname):
		t.faults = append(t.faults, Fault{Object: t.gateway.Key, Resource: name, Message: fmt.Sprintf(
			"the hostname %q is not a DNS name within the listener's %q", hostname, server.Hostname)})
		return
	case p.owner(hostname) != server.Hostname:
		// Not a fault: a route may list hosts that another listener takes.
		return
	}
	object := t.gateway.Key
	var rule *model.Rule
	if len(host.Rules) > 0 {
		rule = &host.Rules[0]
		object = rule.Route
	}
	chain := t.closing(p.Listener, hostname, name)
	t.try(object, name, func() error {
		made, err := t.streamChain(p.Listener, server, hostname, name, rule)
		if err != nil || made == nil {
			return err
		}
		chain = made
		return validate(made)
	})
	if chain != nil {
		chains[domain(hostname)] = chain
	}
}

// closing closes connections for a server name before any handshake.
func (t *translation) closing(l model.Listener, hostname, name string) (chain *listenerv3.FilterChain) {
	t.try(t.gateway.Key, name, func() (err error) {
		chain, err = t.proxyChain(hostname, name, t.newProxy(l, nil))
		return err
	})
	return chain
}

// streamChain is nil where no share of the rule can be served. A share that
// cannot goes to MissingCluster, which closes that share of the connections.
func (t *translation) streamChain(
	l model.Listener, server model.Server, hostname, name string, rule *model.Rule,
) (*listenerv3.FilterChain, error) {
	if rule == nil {
		return nil, nil //nolint:nilnil // no chain is the answer: documented above
	}
	shares, err := t.shares(rule)
	if err != nil || shares == nil {
		return nil, err
	}
	chain, err := t.proxyChain(hostname, name, t.newProxy(l, shares))
	if err == nil {
		err = t.assertSessions(chain)
	}
	if err != nil || server.Passthrough {
		return chain, err
	}
	chain.TransportSocketConnectTimeout = durationpb.New(handshakeTimeout)
	chain.TransportSocket, err = t.downstreamTLS(server)
	return chain, err
}

// proxyChain is a filter chain without a TLS of its own.
func (t *translation) proxyChain(
	hostname, name string, proxy *tcpv3.TcpProxy,
) (*listenerv3.FilterChain, error) {
	log, err := accessLog()
	if err != nil {
		return nil, err
	}
	proxy.AccessLog = []*accesslogv3.AccessLog{log}
	packed, err := pack(proxy)
	if err != nil {
		return nil, err
	}
	match := &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
	if hostname != "" {
		match.ServerNames = []string{hostname}
	}
	return &listenerv3.FilterChain{
		Name:             name,
		FilterChainMatch: match,
		Filters: []*listenerv3.Filter{{
			Name:       tcpProxy,
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed},
		}},
	}, nil
}

// newProxy forwards connections by weight; without shares it closes them, because
// MissingCluster does not exist.
func (t *translation) newProxy(l model.Listener, shares []clusterShare) *tcpv3.TcpProxy {
	proxy := &tcpv3.TcpProxy{
		StatPrefix:       statPrefix(l),
		IdleTimeout:      durationpb.New(downstreamIdle),
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: MissingCluster},
		// As often as requests are: nothing of the client was sent before there is a
		// connection. No attempt is less strict.
		MaxConnectAttempts: wrapperspb.UInt32(retries + 1),
	}
	if limit := t.sessionLimit(shares); limit > 0 {
		proxy.MaxDownstreamConnectionDuration = durationpb.New(limit)
	}
	switch len(shares) {
	case 0:
	case 1:
		proxy.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: shares[0].cluster}
	default:
		weighted := make([]*tcpv3.TcpProxy_WeightedCluster_ClusterWeight, len(shares))
		for i, share := range shares {
			weighted[i] = &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: share.cluster, Weight: share.weight}
		}
		proxy.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{
			WeightedClusters: &tcpv3.TcpProxy_WeightedCluster{Clusters: weighted},
		}
	}
	return proxy
}

// sessionLimit ends sessions with a trust, because Envoy judges a backend's
// certificate when it connects and never again: the shortest that any backend
// asks for, 0 for none.
func (t *translation) sessionLimit(shares []clusterShare) (shortest time.Duration) {
	for _, share := range shares {
		held := t.out.Clusters[share.cluster].Held
		if held.Policy.IsZero() {
			continue
		}
		if limit := model.LimitSession(t.gateway.SessionLimit, held.Mode); shortest == 0 || 0 < limit && limit < shortest {
			shortest = limit
		}
	}
	return shortest
}
