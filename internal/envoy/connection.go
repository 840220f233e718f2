package envoy

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// downstreamIdle ends a client connection without requests.
	downstreamIdle = time.Hour

	// streamIdle ends a request or response in which nothing moves. Long
	// answers and uploads may take any time as long as they move.
	streamIdle = 5 * time.Minute

	// headersTimeout is how long a client may take to send its headers.
	headersTimeout = 10 * time.Second

	// serverName is the server header of every response, so that a backend's
	// own does not tell clients what runs there.
	serverName = "backendtls"
)

// httpFilters is the connection manager of a filter chain, whose clients are
// verified by clients where that is not nil.
func httpFilters(
	l model.Listener, routeName string, clients *model.ClientValidation,
) ([]*listenerv3.Filter, error) {
	manager, err := newConnectionManager(l, routeName, clients)
	if err != nil {
		return nil, err
	}
	packed, err := pack(manager)
	if err != nil {
		return nil, err
	}
	filters := []*listenerv3.Filter{{
		Name:       connectionManager,
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed},
	}}
	if clients == nil {
		return filters, nil
	}
	admitted, err := admittedBy(clients)
	return append([]*listenerv3.Filter{admitted}, filters...), err
}

// newConnectionManager hardens a port that faces the internet, by Envoy's
// advice for edge proxies (best_practices/edge) except where said.
func newConnectionManager(
	l model.Listener, routeName string, clients *model.ClientValidation,
) (*hcmv3.HttpConnectionManager, error) {
	router, err := pack(&routerv3.Router{
		// Clients learn nothing of what is behind, backends are sent no x-envoy
		// headers they might believe.
		SuppressEnvoyHeaders: true,
	})
	if err != nil {
		return nil, err
	}
	log, err := accessLog()
	if err != nil {
		return nil, err
	}
	manager := &hcmv3.HttpConnectionManager{
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		StatPrefix: statPrefix(l),
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{
			Rds: &hcmv3.Rds{ConfigSource: overADS(), RouteConfigName: routeName},
		},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       httpFilterRouter,
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
		}},
		ServerName: serverName,
		AccessLog:  []*accesslogv3.AccessLog{log},
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{
			{UpgradeType: "websocket"},
		},
	}
	boundRequests(manager)
	forwardClients(manager, clients)
	return manager, trustNoClient(manager)
}

// boundRequests limits what one client can hold on to. There is no limit on
// the whole of a request (request_timeout): it would cut uploads, gRPC
// streams and long polls, and the Gateway API has no timeout by default.
func boundRequests(manager *hcmv3.HttpConnectionManager) {
	manager.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout: durationpb.New(downstreamIdle),
		// CGI and WSGI backends fold x_forwarded_for into x-forwarded-for.
		HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
	}
	manager.Http2ProtocolOptions = http2Options()
	manager.StreamIdleTimeout = durationpb.New(streamIdle)
	manager.RequestHeadersTimeout = durationpb.New(headersTimeout)
}

// trustNoClient takes addresses from connections, paths without tricks, and from
// nobody what is known of certificates.
func trustNoClient(manager *hcmv3.HttpConnectionManager) error {
	manager.UseRemoteAddress = wrapperspb.Bool(true)
	// An internal client could steer Envoy with x-envoy headers. No address is
	// internal as long as InternalAddressConfig is absent; an empty one would
	// mean every private address (Envoy's http_connection_manager/config.h).
	manager.InternalAddressConfig = nil
	// Request ids are Envoy's own, so that nobody can confuse the log.
	manager.GenerateRequestId = wrapperspb.Bool(true)
	// Dot segments are removed before a rule is chosen, so that /public/../admin
	// is /admin. Beyond that a path means what the client wrote: nothing here
	// authorises by path, a match of the Gateway API holds neither // nor %2F,
	// and there are backends to which a//b and a%2Fb are names of their own.
	manager.NormalizePath = wrapperspb.Bool(true)
	// b.test. is b.test (RFC 1034 section 3.1): its own routes answer it, not those
	// for any host.
	manager.StripTrailingHostDot = true
	manager.MergeSlashes = false
	manager.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_KEEP_UNCHANGED
	return dropClientHeaders(manager)
}
