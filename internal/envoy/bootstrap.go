package envoy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	monitorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
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
	// the identity it has authenticated; it does not believe these. NodeID may
	// be empty where Envoy is told by --service-node.
	NodeID      string
	NodeCluster string
	// XDSSocket is the absolute path of the control plane's unix socket, at most
	// 107 bytes long; "" where it is Service.
	XDSSocket string
	// Service is the control plane in a cluster, instead of XDSSocket.
	Service *XDSService
	// AdminSocket is the absolute path of the unix socket that Envoy makes, at
	// most 107 bytes long.
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
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	if config.Connections == 0 {
		config.Connections = DefaultConnections
	}
	cluster, err := config.controlPlane()
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

// check names the field that is not usable.
func (c *BootstrapConfig) check() error {
	sockets := []struct{ field, path string }{{"AdminSocket", c.AdminSocket}, {"XDSSocket", c.XDSSocket}}
	if c.Service != nil {
		if c.XDSSocket != "" {
			return errors.New("XDSSocket and Service exclude each other")
		}
		if err := c.Service.check(); err != nil {
			return fmt.Errorf("the xDS Service: %w", err)
		}
		sockets = sockets[:1]
	}
	for _, socket := range sockets {
		if socket.path == "" || socket.path[0] != '/' || len(socket.path) > maxSocketPath {
			return fmt.Errorf("%s %q is not an absolute path of at most %d bytes", socket.field, socket.path, maxSocketPath)
		}
	}
	if c.NodeCluster == "" || c.NodeID == "" && c.Service == nil {
		return errors.New("NodeID and NodeCluster must be set, xDS is refused by Envoy without them")
	}
	return nil
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
