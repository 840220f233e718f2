package gwapi

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// ControllerName is the GatewayClass.spec.controllerName that this project
// answers to, and the controllerName of every status entry it writes.
const ControllerName = "backendtls.dev/gateway-controller"

// Prefix is the domain of every option key, annotation and condition of ours.
const Prefix = "backendtls.dev/"

// Kind names the kinds this project reads. Kinds are unique across the API
// groups in play, so a Kind stands for group and kind.
type Kind string

// The kinds of "The API".
const (
	KindGatewayClass      Kind = "GatewayClass"
	KindGateway           Kind = "Gateway"
	KindListenerSet       Kind = "ListenerSet"
	KindHTTPRoute         Kind = "HTTPRoute"
	KindGRPCRoute         Kind = "GRPCRoute"
	KindTLSRoute          Kind = "TLSRoute"
	KindTCPRoute          Kind = "TCPRoute"
	KindReferenceGrant    Kind = "ReferenceGrant"
	KindBackendTLSPolicy  Kind = "BackendTLSPolicy"
	KindGatewayParameters Kind = "GatewayParameters"
	KindService           Kind = "Service"
	KindEndpointSlice     Kind = "EndpointSlice"
	KindSecret            Kind = "Secret"
	KindConfigMap         Kind = "ConfigMap"
	KindNamespace         Kind = "Namespace"
	// KindClusterTrustBundle has no namespace; Kubernetes serves it since 1.37.
	KindClusterTrustBundle Kind = "ClusterTrustBundle"
)

// Key identifies one object. The zero Key names nothing.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// KeyOf builds the Key of a namespaced object.
func KeyOf(kind Kind, namespace, name string) Key {
	return Key{Kind: kind, Namespace: namespace, Name: name}
}

// NamespacedName is the Key without its kind.
func (k Key) NamespacedName() types.NamespacedName {
	return types.NamespacedName{Namespace: k.Namespace, Name: k.Name}
}

// IsZero says whether the Key names nothing.
func (k Key) IsZero() bool { return k == Key{} }

// String is kind/namespace/name in lower-case kind, kind/name for an object
// without a namespace: the form used in messages.
func (k Key) String() string {
	kind := strings.ToLower(string(k.Kind))
	if k.Namespace == "" {
		return kind + "/" + k.Name
	}
	return kind + "/" + k.Namespace + "/" + k.Name
}

// CompareKeys orders keys by kind, namespace and name.
func CompareKeys(a, b Key) int {
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
	)
}
