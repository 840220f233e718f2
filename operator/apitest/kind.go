package apitest

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is one kind that the server knows.
type kind struct {
	group, version, name, resource string
	namespaced                     bool
	// status: it has a status subresource. generation: changes are counted.
	status, generation bool
}

const (
	gatewayGroup    = "gateway.networking.k8s.io"
	parametersGroup = "backendtls.dev"
	crdGroup        = "apiextensions.k8s.io"
)

// kinds are all that the server knows. Those of the Gateway API and ours are
// served while their CustomResourceDefinition exists.
var kinds = []*kind{
	{version: "v1", name: "Namespace", resource: "namespaces", status: true},
	{version: "v1", name: "Node", resource: "nodes", status: true},
	{version: "v1", name: "Pod", resource: "pods", namespaced: true, status: true, generation: true},
	{version: "v1", name: "Service", resource: "services", namespaced: true, status: true},
	{version: "v1", name: "ServiceAccount", resource: "serviceaccounts", namespaced: true},
	{version: "v1", name: "ConfigMap", resource: "configmaps", namespaced: true},
	{version: "v1", name: "Secret", resource: "secrets", namespaced: true},
	{version: "v1", name: "Event", resource: "events", namespaced: true},
	builtin("apps", "v1", "Deployment", "deployments", true, true),
	builtin("apps", "v1", "ReplicaSet", "replicasets", true, true),
	builtin("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, false),
	{group: "certificates.k8s.io", version: "v1", name: "ClusterTrustBundle", resource: "clustertrustbundles"},
	builtin("coordination.k8s.io", "v1", "Lease", "leases", false, false),
	builtin("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", false, true),
	builtin("events.k8s.io", "v1", "Event", "events", false, false),
	builtin("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", false, true),
	builtin("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true, true),
	{
		group: crdGroup, version: "v1", name: "CustomResourceDefinition", resource: "customresourcedefinitions",
		status: true, generation: true,
	},
	{
		group: gatewayGroup, version: "v1", name: "GatewayClass", resource: "gatewayclasses",
		status: true, generation: true,
	},
	builtin(gatewayGroup, "v1", "Gateway", "gateways", true, true),
	builtin(gatewayGroup, "v1", "ListenerSet", "listenersets", true, true),
	builtin(gatewayGroup, "v1", "HTTPRoute", "httproutes", true, true),
	builtin(gatewayGroup, "v1", "GRPCRoute", "grpcroutes", true, true),
	builtin(gatewayGroup, "v1", "TLSRoute", "tlsroutes", true, true),
	builtin(gatewayGroup, "v1", "TCPRoute", "tcproutes", true, true),
	builtin(gatewayGroup, "v1", "ReferenceGrant", "referencegrants", false, true),
	builtin(gatewayGroup, "v1", "BackendTLSPolicy", "backendtlspolicies", true, true),
	builtin(parametersGroup, "v1alpha1", "GatewayParameters", "gatewayparameters", false, true),
}

// builtin is a namespaced kind.
func builtin(group, version, name, resource string, status, generation bool) *kind {
	return &kind{
		group: group, version: version, name: name, resource: resource,
		namespaced: true, status: status, generation: generation,
	}
}

func (k *kind) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.group, Version: k.version, Kind: k.name}
}

// custom says whether a CustomResourceDefinition defines the kind.
func (k *kind) custom() bool { return k.group == gatewayGroup || k.group == parametersGroup }

// definition is the name of the kind's CustomResourceDefinition.
func (k *kind) definition() string { return k.resource + "." + k.group }

func kindOfResource(group, version, resource string) *kind {
	return findKind(func(k *kind) bool { return k.group == group && k.version == version && k.resource == resource })
}

func kindOf(gvk schema.GroupVersionKind) *kind {
	return findKind(func(k *kind) bool { return k.gvk() == gvk })
}

func findKind(is func(*kind) bool) *kind {
	if i := slices.IndexFunc(kinds, is); i >= 0 {
		return kinds[i]
	}
	return nil
}
