package envoy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	monitorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// DefaultConnections is how many client connections an Envoy takes at a time.
const DefaultConnections = 50_000

// maxSocketPath is what fits into a sockaddr_un, its final zero left out.
const maxSocketPath = 107

// BootstrapConfig is what a process must know before it hears from the control
// plane.
type BootstrapConfig struct {
	// NodeID and NodeCluster are for Envoy's own logs. The control plane stamps
	// the identity it has authenticated; it does not believe these.
	NodeID      string
	NodeCluster string
	// XDSSocket and AdminSocket are the absolute paths of unix sockets, at most
	// 107 bytes long: the control plane's, and the one Envoy makes.
	XDSSocket   string
	AdminSocket string
	// Connections is the most client connections at a time, over all ports; 0
	// is DefaultConnections. It must fit into the process's limit of open files.
	Connections int64
}

// Bootstrap is NewBootstrap as the content of a file whose name ends in .json.
func Bootstrap(config BootstrapConfig) ([]byte, error) {
	message, err := NewBootstrap(config)
	if err != nil {
		return nil, err
	}
	return JSON(message)
}

// NewBootstrap is the configuration Envoy starts with: where the control plane
// is. Everything else comes over one delta stream from there, so nothing in
// it ever changes. The error says which field of the config is not usable.
func NewBootstrap(config BootstrapConfig) (*bootstrapv3.Bootstrap, error) {
	for _, socket := range []struct{ field, path string }{
		{"XDSSocket", config.XDSSocket}, {"AdminSocket", config.AdminSocket},
	} {
		if socket.path == "" || socket.path[0] != '/' || len(socket.path) > maxSocketPath {
			return nil, fmt.Errorf("bootstrap: %s %q is not an absolute path of at most %d bytes",
				socket.field, socket.path, maxSocketPath)
		}
	}
	if config.NodeID == "" || config.NodeCluster == "" {
		return nil, errors.New("bootstrap: NodeID and NodeCluster must be set, xDS is refused by Envoy without them")
	}
	if config.Connections == 0 {
		config.Connections = DefaultConnections
	}
	cluster, err := xdsCluster(config.XDSSocket)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	overload, err := overloadManager(config.Connections)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: Connections: %w", err)
	}
	written := &bootstrapv3.Bootstrap{
		Node:             &corev3.Node{Id: config.NodeID, Cluster: config.NodeCluster},
		Admin:            &bootstrapv3.Admin{Address: pipeAddress(config.AdminSocket)},
		StaticResources:  &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{cluster}},
		DynamicResources: dynamicResources(),
		LayeredRuntime:   runtimeLayers(),
		OverloadManager:  overload,
		StatsConfig:      statsConfig(),
	}
	// The admin socket is the operator's alone, also where its directory is not.
	written.Admin.Address.GetPipe().Mode = 0o600
	if err := validate(written); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return written, nil
}

// JSON is a message in the JSON that Envoy reads, indented. The same message
// gives the same bytes: protojson's white space, which differs between builds
// on purpose, is replaced.
func JSON(message proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		return nil, err
	}
	return append(indented.Bytes(), '\n'), nil
}

// dynamicResources are listeners and clusters over one aggregated stream.
// Delta, because removals are then said and acknowledged, resource by resource.
func dynamicResources() *bootstrapv3.Bootstrap_DynamicResources {
	return &bootstrapv3.Bootstrap_DynamicResources{
		LdsConfig: overADS(),
		CdsConfig: overADS(),
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:             corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{{
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: XDSCluster,
					// Envoy's default waits up to 30 s before it asks an operator that has
					// come back.
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: durationpb.New(200 * time.Millisecond),
						MaxInterval:  durationpb.New(2 * time.Second),
					}},
				}},
			}},
			SetNodeOnFirstMessageOnly: true,
		},
	}
}

// xdsCluster is the control plane behind a unix socket: there the operating
// system says who is at the other end, so there is no TLS.
func xdsCluster(socket string) (*clusterv3.Cluster, error) {
	options, err := pack(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						// A control plane that hangs is noticed and asked again.
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(30 * time.Second),
							Timeout:  durationpb.New(10 * time.Second),
						},
					},
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return &clusterv3.Cluster{
		Name:                          XDSCluster,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                durationpb.New(time.Second),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptions: options},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: XDSCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: pipeAddress(socket)},
				},
			}}}},
		},
	}, nil
}

// runtimeLayers: RE2 programs of any size are taken (Envoy's default is 100,
// which refuses ordinary expressions); safeRegex bounds them instead.
func runtimeLayers() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "static",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{
			Fields: map[string]*structpb.Value{
				"re2.max_program_size.error_level": structpb.NewNumberValue(1 << 20),
				"re2.max_program_size.warn_level":  structpb.NewNumberValue(maxProgram),
			},
		}},
	}}}
}

// overloadManager refuses client connections beyond a number, rather than run
// out of files and memory.
func overloadManager(connections int64) (*overloadv3.OverloadManager, error) {
	packed, err := pack(&monitorv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: connections})
	if err != nil {
		return nil, err
	}
	return &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{{
		Name:       connectionMonitor,
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: packed},
	}}}, nil
}
