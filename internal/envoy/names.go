package envoy

import (
	"fmt"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// MissingCluster is the cluster of requests that must fail. It never
	// exists, so a request sent to it gets the route's
	// cluster_not_found_response_code, a 500. Nobody can create it: the name of
	// every cluster that Translate writes has three slashes (model.Backend.Name).
	MissingCluster = "invalid-backend"

	// XDSCluster is the bootstrap's cluster of the control plane. It has no
	// slash either, so no backend can replace it.
	XDSCluster = "backendtls-xds"

	// MetadataNamespace holds a cluster's policy and mode for the access log.
	MetadataNamespace = "backendtls.dev"

	// anyHost stands for the empty hostname where Envoy or a name needs a word.
	anyHost = "*"

	// admittedState is the state of a connection that names the CA certificates
	// its client's certificate is verified with.
	admittedState = "backendtls.dev/client-ca"
	stringState   = "envoy.string"

	httpFilterRouter    = "envoy.filters.http.router"
	credentialInjector  = "envoy.filters.http.credential_injector" //nolint:gosec // a name, no credential
	upstreamCodec       = "envoy.filters.http.upstream_codec"
	healthCheck         = "envoy.filters.http.health_check"
	previousHosts       = "envoy.retry_host_predicates.previous_hosts"
	headerMutation      = "envoy.filters.http.header_mutation"
	earlyHeaderMutation = "envoy.http.early_header_mutation.header_mutation"
	setFilterState      = "envoy.filters.network.set_filter_state"
	tlsInspector        = "envoy.filters.listener.tls_inspector"
	connectionManager   = "envoy.filters.network.http_connection_manager"
	tlsSocket           = "envoy.transport_sockets.tls"
	stdoutAccessLog     = "envoy.access_loggers.stdout"
	httpOptions         = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	dnsCluster          = "envoy.clusters.dns"
	genericCredential   = "envoy.http.injected_credentials.generic" //nolint:gosec // a name, no credential
	connectionMonitor   = "envoy.resource_monitors.global_downstream_max_connections"
)

// ListenerName names the listener of a port: http/8080, https/8443, tls/9443.
func ListenerName(l model.Listener) string {
	return fmt.Sprintf("%s/%d", scheme(l.Protocol), l.Port)
}

// RouteName names the route configuration of a port of HTTP: all its hosts
// share one, because the request's Host alone chooses among them.
func RouteName(l model.Listener) string { return ListenerName(l) }

// ServerRouteName names the route configuration behind one server name of a
// port of HTTPS: https/8443/*.example.com. They are kept apart because a
// request may only ask for the hosts of the server name that the connection
// was opened for, whatever certificate protects it.
func ServerRouteName(l model.Listener, hostname string) string {
	return ListenerName(l) + "/" + domain(hostname)
}

// domain is a hostname of the model as Envoy writes it.
func domain(hostname string) string {
	if hostname == "" {
		return anyHost
	}
	return hostname
}

// scheme is the URL scheme of what clients ask a listener for, or the word for it.
func scheme(p model.Protocol) string {
	switch p {
	case model.HTTPS:
		return "https"
	case model.TLS:
		return "tls"
	default:
		return "http"
	}
}
