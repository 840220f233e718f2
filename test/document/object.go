package document

import (
	"encoding/json"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Add puts the object that a JSON text holds into a snapshot, over one of its
// name; nothing if it cannot be decoded, or is of a kind that a snapshot lacks.
func Add(s *snapshot.Snapshot, data []byte) {
	var head metav1.TypeMeta
	if json.Unmarshal(data, &head) != nil {
		return
	}
	switch gwapi.Kind(head.Kind) {
	case gwapi.KindGatewayClass:
		put[gatewayv1.GatewayClass](&s.GatewayClasses, data)
	case gwapi.KindGateway:
		put[gatewayv1.Gateway](&s.Gateways, data)
	case gwapi.KindListenerSet:
		put[gatewayv1.ListenerSet](&s.ListenerSets, data)
	case gwapi.KindHTTPRoute:
		put[gatewayv1.HTTPRoute](&s.HTTPRoutes, data)
	case gwapi.KindGRPCRoute:
		put[gatewayv1.GRPCRoute](&s.GRPCRoutes, data)
	case gwapi.KindTLSRoute:
		put[gatewayv1.TLSRoute](&s.TLSRoutes, data)
	case gwapi.KindTCPRoute:
		put[gatewayv1.TCPRoute](&s.TCPRoutes, data)
	case gwapi.KindReferenceGrant:
		put[gatewayv1.ReferenceGrant](&s.ReferenceGrants, data)
	case gwapi.KindBackendTLSPolicy:
		put[gatewayv1.BackendTLSPolicy](&s.TLSPolicies, data)
	case gwapi.KindGatewayParameters:
		put[v1alpha1.GatewayParameters](&s.Parameters, data)
	case gwapi.KindService:
		put[corev1.Service](&s.Services, data)
	case gwapi.KindConfigMap:
		put[corev1.ConfigMap](&s.ConfigMaps, data)
	case gwapi.KindClusterTrustBundle:
		put[certificatesv1.ClusterTrustBundle](&s.TrustBundles, data)
	case gwapi.KindNamespace:
		put[corev1.Namespace](&s.Namespaces, data)
	case gwapi.KindSecret:
		putSecret(s, data)
	default:
	}
}

func put[O any, T interface {
	*O
	metav1.Object
}](objects *snapshot.Objects[T], data []byte) {
	object := new(O)
	if json.Unmarshal(data, object) == nil {
		*objects = objects.With(T(object))
	}
}

// putSecret has stringData in data, as an API server does.
func putSecret(s *snapshot.Snapshot, data []byte) {
	var secret corev1.Secret
	if json.Unmarshal(data, &secret) != nil {
		return
	}
	if secret.Data == nil {
		secret.Data = make(map[string][]byte, len(secret.StringData))
	}
	for key, text := range secret.StringData {
		secret.Data[key] = []byte(text)
	}
	s.Secrets = s.Secrets.With(&secret)
}
