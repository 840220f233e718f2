package collect

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// fill puts all objects of a kind into a snapshot.
func fill(snap *snapshot.Snapshot, kind gwapi.Kind, objects []client.Object) {
	if kind.Group() == gatewayv1.GroupName {
		fillGatewayAPI(snap, kind, objects)
		return
	}
	switch kind {
	case gwapi.KindGatewayParameters:
		snap.Parameters = typed[*v1alpha1.GatewayParameters](objects)
	case gwapi.KindService:
		snap.Services = typed[*corev1.Service](objects)
	case gwapi.KindConfigMap:
		snap.ConfigMaps = typed[*corev1.ConfigMap](objects)
	case gwapi.KindNamespace:
		snap.Namespaces = typed[*corev1.Namespace](objects)
	case gwapi.KindClusterTrustBundle:
		snap.TrustBundles = typed[*certificatesv1.ClusterTrustBundle](objects)
	case gwapi.KindEndpointSlice:
		snap.EndpointSlices = typed[*discoveryv1.EndpointSlice](objects)
	default: // Secrets are never read.
	}
}

func fillGatewayAPI(snap *snapshot.Snapshot, kind gwapi.Kind, objects []client.Object) {
	switch kind {
	case gwapi.KindGatewayClass:
		snap.GatewayClasses = typed[*gatewayv1.GatewayClass](objects)
	case gwapi.KindGateway:
		snap.Gateways = typed[*gatewayv1.Gateway](objects)
	case gwapi.KindListenerSet:
		snap.ListenerSets = typed[*gatewayv1.ListenerSet](objects)
	case gwapi.KindHTTPRoute:
		snap.HTTPRoutes = typed[*gatewayv1.HTTPRoute](objects)
	case gwapi.KindGRPCRoute:
		snap.GRPCRoutes = typed[*gatewayv1.GRPCRoute](objects)
	case gwapi.KindTLSRoute:
		snap.TLSRoutes = typed[*gatewayv1.TLSRoute](objects)
	case gwapi.KindTCPRoute:
		snap.TCPRoutes = typed[*gatewayv1.TCPRoute](objects)
	case gwapi.KindReferenceGrant:
		snap.ReferenceGrants = typed[*gatewayv1.ReferenceGrant](objects)
	case gwapi.KindBackendTLSPolicy:
		snap.TLSPolicies = typed[*gatewayv1.BackendTLSPolicy](objects)
	default:
	}
}

func typed[T metav1.Object](objects []client.Object) snapshot.Objects[T] {
	list := make([]T, 0, len(objects))
	for _, object := range objects {
		if one, ok := object.(T); ok {
			list = append(list, one)
		}
	}
	return snapshot.NewObjects(list...)
}

// place puts one object into a snapshot, in place of one of its name. Only
// what the verbs write can be placed.
func place(snap *snapshot.Snapshot, object client.Object) {
	switch typed := object.(type) {
	case *gatewayv1.BackendTLSPolicy:
		snap.TLSPolicies = snap.TLSPolicies.With(typed)
	case *corev1.ConfigMap:
		snap.ConfigMaps = snap.ConfigMaps.With(typed)
	}
}
