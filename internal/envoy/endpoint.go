package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// Endpoints is the assignment of a cluster: the ready endpoints, in the order
// given. An assignment without any is what a cluster without endpoints needs,
// because a cluster waits for its assignment.
func Endpoints(clusterName string, endpoints []model.Endpoint) *endpointv3.ClusterLoadAssignment {
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: clusterName}
	ready := make([]*endpointv3.LbEndpoint, 0, len(endpoints))
	for i := range endpoints {
		if endpoints[i].Ready && endpoints[i].Address.IsValid() {
			ready = append(ready, lbEndpoint(&endpoints[i]))
		}
	}
	if len(ready) > 0 {
		assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{{LbEndpoints: ready}}
	}
	return assignment
}

func lbEndpoint(e *model.Endpoint) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{
			Address: socketAddress(e.Address.Addr().Unmap().String(), uint32(e.Address.Port())),
		},
	}}
}

func socketAddress(address string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       address,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func pipeAddress(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}
