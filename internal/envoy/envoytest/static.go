package envoytest

import (
	"fmt"
	"maps"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backendtls/backendtls/internal/envoy"
)

// Static is the resources in a bootstrap that needs no control plane: the real
// bootstrap, with clusters, listeners and secrets static and each route
// configuration inside its listener. `envoy --mode validate` then looks at
// everything that Envoy would look at when it came over xDS. A cluster with an
// assignment is static too, so that Envoy can be run; the others would get
// theirs over ADS. The admin socket is adminSocket.
func Static(
	resources envoy.Resources, adminSocket string, assignments ...*endpointv3.ClusterLoadAssignment,
) (*bootstrapv3.Bootstrap, error) {
	written, err := envoy.NewBootstrap(envoy.BootstrapConfig{
		NodeID:      "static",
		NodeCluster: "static",
		XDSSocket:   "/nonexistent/xds.sock",
		AdminSocket: adminSocket,
	})
	if err != nil {
		return nil, err
	}
	written.DynamicResources.LdsConfig = nil
	written.DynamicResources.CdsConfig = nil
	static := written.GetStaticResources()
	for _, name := range slices.Sorted(maps.Keys(resources.Clusters)) {
		static.Clusters = append(static.Clusters, staticCluster(resources.Clusters[name].Cluster, assignments))
	}
	for _, name := range slices.Sorted(maps.Keys(resources.Secrets)) {
		static.Secrets = append(static.Secrets, resources.Secrets[name])
	}
	for _, name := range slices.Sorted(maps.Keys(resources.Listeners)) {
		listener, err := staticListener(resources, resources.Listeners[name])
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", name, err)
		}
		static.Listeners = append(static.Listeners, listener)
	}
	return written, nil
}

// staticCluster is a cluster that needs no assignment, if there is one for it.
func staticCluster(c *clusterv3.Cluster, assignments []*endpointv3.ClusterLoadAssignment) *clusterv3.Cluster {
	for _, assignment := range assignments {
		if assignment.GetClusterName() != c.GetName() {
			continue
		}
		cluster := proto.CloneOf(c)
		cluster.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		cluster.EdsClusterConfig = nil
		cluster.LoadAssignment = assignment
		return cluster
	}
	return c
}

// staticListener is a listener that names no other resource.
func staticListener(resources envoy.Resources, l *listenerv3.Listener) (*listenerv3.Listener, error) {
	listener := proto.CloneOf(l)
	for _, chain := range listener.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			if err := inlineRoutes(resources, filter); err != nil {
				return nil, err
			}
		}
		if err := inlineSecrets(resources, chain.GetTransportSocket()); err != nil {
			return nil, err
		}
	}
	return listener, nil
}

func inlineRoutes(resources envoy.Resources, filter *listenerv3.Filter) error {
	manager := &hcmv3.HttpConnectionManager{}
	if !filter.GetTypedConfig().MessageIs(manager) {
		return nil
	}
	if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
		return err
	}
	if manager.GetRds() == nil {
		return nil
	}
	name := manager.GetRds().GetRouteConfigName()
	routes, found := resources.Routes[name]
	if !found {
		return fmt.Errorf("route configuration %q is not among the resources", name)
	}
	manager.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes}
	packed, err := anypb.New(manager)
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
	return err
}

func inlineSecrets(resources envoy.Resources, socket *corev3.TransportSocket) error {
	if socket == nil {
		return nil
	}
	context := &tlsv3.DownstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil {
		return err
	}
	for _, secret := range context.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs() {
		if _, found := resources.Secrets[secret.GetName()]; !found {
			return fmt.Errorf("secret %q is not among the resources", secret.GetName())
		}
		secret.SdsConfig = nil
	}
	packed, err := anypb.New(context)
	socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: packed}
	return err
}
