package apiservertest

import "k8s.io/apimachinery/pkg/runtime/schema"

// resource is a kind that is served.
type resource struct{ group, version, kind, resource string }

func (r resource) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.group, Version: r.version, Kind: r.kind}
}

const (
	gatewayAPI = "gateway.networking.k8s.io"
	discovery  = "discovery.k8s.io"
	ours       = "backendtls.dev"
)

var resources = []resource{
	{"", "v1", "Namespace", "namespaces"},
	{"", "v1", "Service", "services"},
	{"", "v1", "ConfigMap", "configmaps"},
	{"", "v1", "Secret", "secrets"},
	{"", "v1", "Pod", "pods"},
	{"", "v1", "Event", "events"},
	{discovery, "v1", "EndpointSlice", "endpointslices"},
	{gatewayAPI, "v1", "GatewayClass", "gatewayclasses"},
	{gatewayAPI, "v1", "Gateway", "gateways"},
	{gatewayAPI, "v1", "ListenerSet", "listenersets"},
	{gatewayAPI, "v1", "HTTPRoute", "httproutes"},
	{gatewayAPI, "v1", "GRPCRoute", "grpcroutes"},
	{gatewayAPI, "v1", "TLSRoute", "tlsroutes"},
	{gatewayAPI, "v1", "TCPRoute", "tcproutes"},
	{gatewayAPI, "v1", "ReferenceGrant", "referencegrants"},
	{gatewayAPI, "v1", "BackendTLSPolicy", "backendtlspolicies"},
	{ours, "v1alpha1", "GatewayParameters", "gatewayparameters"},
	{"networking.istio.io", "v1", "DestinationRule", "destinationrules"},
	{"gateway.kgateway.dev", "v1alpha1", "BackendConfigPolicy", "backendconfigpolicies"},
}

func byResource(group, name string) (resource, bool) {
	for _, each := range resources {
		if each.group == group && each.resource == name {
			return each, true
		}
	}
	return resource{}, false
}

func byKind(gvk schema.GroupVersionKind) (resource, bool) {
	for _, each := range resources {
		if each.gvk() == gvk {
			return each, true
		}
	}
	return resource{}, false
}
