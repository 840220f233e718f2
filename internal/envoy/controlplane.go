package envoy

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

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

// controlPlane is the cluster of the control plane.
func (c *BootstrapConfig) controlPlane() (*clusterv3.Cluster, error) {
	if c.Service != nil {
		return c.Service.cluster()
	}
	return xdsCluster(c.XDSSocket)
}

// xdsCluster is the control plane behind a unix socket: there the operating
// system says who is at the other end, so there is no TLS.
func xdsCluster(socket string) (*clusterv3.Cluster, error) {
	options, err := xdsOptions(30*time.Second, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &clusterv3.Cluster{
		Name:                          XDSCluster,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                durationpb.New(time.Second),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptions: options},
		LoadAssignment:                xdsEndpoint(pipeAddress(socket)),
	}, nil
}

func xdsEndpoint(address *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: XDSCluster,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
		}}}},
	}
}

// xdsOptions are HTTP/2 with pings, so that a control plane that hangs or
// whose machine is gone is noticed and asked again.
func xdsOptions(interval, timeout time.Duration, filters ...*hcmv3.HttpFilter) (*anypb.Any, error) {
	return pack(&httpv3.HttpProtocolOptions{
		HttpFilters: filters,
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(interval),
							Timeout:  durationpb.New(timeout),
						},
					},
				},
			},
		},
	})
}
