package envoy

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// connectTimeout covers the TCP connection and the TLS handshake.
	connectTimeout = 5 * time.Second

	// upstreamIdle ends a pooled connection that carries nothing.
	upstreamIdle = time.Minute

	// upstreamAge ends a connection (once its requests are done): a certificate
	// is judged only in the handshake, so this is how long one that has expired
	// since stays in use.
	upstreamAge = time.Hour

	// connectionBuffer is what Envoy buffers per connection, as its advice for
	// edge proxies says (best_practices/edge).
	connectionBuffer = 32 << 10

	// The limits of one backend per Envoy. Envoy's defaults of 1024 are a
	// mesh's; a Gateway carries the whole traffic of a Service.
	maxConnections = 8192
	maxPending     = 8192
	maxRequests    = 32768
	maxRetries     = 8192

	// The limits of one backend that gets copies. They are dropped beyond, which
	// nobody waits for; without an own limit a backend that takes copies and never
	// answers would hold as many connections, each with its buffers, as a Service
	// that serves. Envoy opens at least one connection per endpoint and worker
	// thread, whatever the limit (its documentation of circuit breaking).
	mirrorConnections = 256
	mirrorPending     = 256
	mirrorRequests    = 256
)

// newCluster writes the cluster of a backend. Nothing in it changes but with
// the backend's name: everything that decides trust is inline, so that Envoy
// takes it in one piece, and a change of trust is another cluster.
func (t *translation) newCluster(b *model.Backend, name string) (*clusterv3.Cluster, error) {
	protocol, err := t.protocolOptions(b)
	if err != nil {
		return nil, err
	}
	c := &clusterv3.Cluster{
		Name: name,
		// Statistics go on across a change of trust.
		AltStatName:          statName(b),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS(), ServiceName: name},
		ConnectTimeout:       durationpb.New(connectTimeout),
		LbPolicy:             clusterv3.Cluster_LEAST_REQUEST,

		PerConnectionBufferLimitBytes: wrapperspb.UInt32(connectionBuffer),
		CircuitBreakers:               circuitBreakers(b),
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{
			TcpKeepalive: &corev3.TcpKeepalive{},
		},
		TypedExtensionProtocolOptions: protocol,
		// An endpoint that left the Service is left at once, whatever else is
		// thought of its health.
		IgnoreHealthOnHostRemoval: true,
	}
	if b.Trust == nil {
		return c, nil
	}
	if c.TransportSocket, err = t.upstreamTLS(b); err != nil {
		return nil, err
	}
	c.Metadata = trustMetadata(b.Trust)
	return c, nil
}

// protocolOptions are those of HTTP, none where bytes are passed on.
func (t *translation) protocolOptions(b *model.Backend) (map[string]*anypb.Any, error) {
	if b.Protocol == model.TCP {
		return nil, nil //nolint:nilnil // no options are the answer: documented above
	}
	options, err := t.options.of(b.Protocol, sessionLimit(b))
	return map[string]*anypb.Any{httpOptions: options}, err
}

// statName keeps what becomes of copies out of the statistics of the requests.
func statName(b *model.Backend) string {
	if b.Mirror {
		return b.StatName() + "/mirror"
	}
	return b.StatName()
}

func circuitBreakers(b *model.Backend) *clusterv3.CircuitBreakers {
	if b.Mirror {
		return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(mirrorConnections),
			MaxPendingRequests: wrapperspb.UInt32(mirrorPending),
			MaxRequests:        wrapperspb.UInt32(mirrorRequests),
			// A copy is not sent again.
			MaxRetries: wrapperspb.UInt32(0),
		}}}
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     wrapperspb.UInt32(maxConnections),
		MaxPendingRequests: wrapperspb.UInt32(maxPending),
		MaxRequests:        wrapperspb.UInt32(maxRequests),
		// Half of the endpoints may be gone at once, and Envoy's default of 3
		// would keep as many requests alive.
		MaxRetries: wrapperspb.UInt32(maxRetries),
	}}}
}

// trustMetadata is what the access log says of a cluster's trust.
func trustMetadata(trust *model.Trust) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		MetadataNamespace: {Fields: map[string]*structpb.Value{
			"policy": structpb.NewStringValue(trust.Policy.Namespace + "/" + trust.Policy.Name),
			"mode":   structpb.NewStringValue(string(modeOf(trust))),
		}},
	}}
}

// modeOf is the trust's mode by its full name.
func modeOf(trust *model.Trust) model.Mode {
	if trust.Mode == "" {
		return model.Standard
	}
	return trust.Mode
}

// sessionLimit is how long a request to the backend may last, 0 for ever. It
// begins with the request, whatever the connection's age, and ends upgraded and
// HTTP/2 streams too, with the response flag UMSDR. Copies end soon, also
// where there is no trust.
func sessionLimit(b *model.Backend) (limit time.Duration) {
	if b.Trust != nil {
		limit = model.LimitSession(b.SessionLimit, modeOf(b.Trust))
	}
	if b.Mirror && (limit == 0 || limit > model.MirrorLimit) {
		return model.MirrorLimit
	}
	return limit
}

// upstreamOptions are the HTTP options per protocol and limit, written once: every
// cluster has one of a few.
type upstreamOptions map[upstreamKey]*anypb.Any

type upstreamKey struct {
	protocol model.BackendProtocol
	limit    time.Duration
}

func (o *upstreamOptions) of(protocol model.BackendProtocol, limit time.Duration) (*anypb.Any, error) {
	key := upstreamKey{protocol, limit}
	if packed, known := (*o)[key]; known {
		return packed, nil
	}
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{}
	switch protocol {
	case model.HTTP1:
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
		}
	case model.HTTP2:
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: http2Options(),
		}
	default:
		return nil, fmt.Errorf("protocol %q is none of %s, %s", protocol, model.HTTP1, model.HTTP2)
	}
	common := &corev3.HttpProtocolOptions{
		IdleTimeout:           durationpb.New(upstreamIdle),
		MaxConnectionDuration: durationpb.New(upstreamAge),
	}
	if limit > 0 {
		common.MaxStreamDuration = durationpb.New(limit)
	}
	packed, err := pack(&httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: common,
		UpstreamProtocolOptions:   &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	})
	if err != nil {
		return nil, err
	}
	if *o == nil {
		*o = upstreamOptions{}
	}
	(*o)[key] = packed
	return packed, nil
}

// http2Options bound what one HTTP/2 connection may ask of Envoy, in either
// direction (best_practices/edge).
func http2Options() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(100),
		InitialStreamWindowSize:     wrapperspb.UInt32(64 << 10),
		InitialConnectionWindowSize: wrapperspb.UInt32(1 << 20),
	}
}
