package manifest

import (
	"maps"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Snapshot is the Set as resolve.Build wants it, of a standalone site: with the
// statuses and generations that the Set was given, the Namespaces that no file
// gives, and the embedded system roots unless a file gives others. Now and
// what was observed are left to the caller.
func (s *Set) Snapshot() *snapshot.Snapshot {
	byKind := map[gwapi.Kind][]metav1.Object{}
	namespaces := map[string]bool{metav1.NamespaceDefault: true, SystemRootsName.Namespace: true}
	for _, object := range s.objects {
		byKind[object.Key.Kind] = append(byKind[object.Key.Kind], s.dressed(object))
		if object.Key.Namespace != "" {
			namespaces[object.Key.Namespace] = true
		}
	}
	for name := range namespaces {
		if _, given := s.objects[gwapi.KeyOf(gwapi.KindNamespace, "", name)]; !given {
			byKind[gwapi.KindNamespace] = append(byKind[gwapi.KindNamespace], bareNamespace(name))
		}
	}
	roots := gwapi.KeyOf(gwapi.KindConfigMap, SystemRootsName.Namespace, SystemRootsName.Name)
	if len(s.places[roots]) == 0 {
		byKind[gwapi.KindConfigMap] = append(byKind[gwapi.KindConfigMap], SystemRoots())
	}
	return &snapshot.Snapshot{
		GatewayClasses:  collect[*gatewayv1.GatewayClass](byKind[gwapi.KindGatewayClass]),
		Gateways:        collect[*gatewayv1.Gateway](byKind[gwapi.KindGateway]),
		ListenerSets:    collect[*gatewayv1.ListenerSet](byKind[gwapi.KindListenerSet]),
		HTTPRoutes:      collect[*gatewayv1.HTTPRoute](byKind[gwapi.KindHTTPRoute]),
		GRPCRoutes:      collect[*gatewayv1.GRPCRoute](byKind[gwapi.KindGRPCRoute]),
		TLSRoutes:       collect[*gatewayv1.TLSRoute](byKind[gwapi.KindTLSRoute]),
		TCPRoutes:       collect[*gatewayv1.TCPRoute](byKind[gwapi.KindTCPRoute]),
		TLSPolicies:     collect[*gatewayv1.BackendTLSPolicy](byKind[gwapi.KindBackendTLSPolicy]),
		ReferenceGrants: collect[*gatewayv1.ReferenceGrant](byKind[gwapi.KindReferenceGrant]),
		Parameters:      collect[*v1alpha1.GatewayParameters](byKind[gwapi.KindGatewayParameters]),
		Services:        collect[*corev1.Service](byKind[gwapi.KindService]),
		Secrets:         collect[*corev1.Secret](byKind[gwapi.KindSecret]),
		ConfigMaps:      collect[*corev1.ConfigMap](byKind[gwapi.KindConfigMap]),
		Namespaces:      collect[*corev1.Namespace](byKind[gwapi.KindNamespace]),
		EndpointSlices:  collect[*discoveryv1.EndpointSlice](byKind[gwapi.KindEndpointSlice]),
		TrustBundles:    collect[*certificatesv1.ClusterTrustBundle](byKind[gwapi.KindClusterTrustBundle]),
		// Of files there is always an API.
		TrustBundlesServed: true,

		Faults: maps.Clone(s.faults),
		Site:   snapshot.Site{Standalone: true},
	}
}

func collect[T metav1.Object](objects []metav1.Object) snapshot.Objects[T] {
	typed := make([]T, 0, len(objects))
	for _, object := range objects {
		if one, ok := object.(T); ok {
			typed = append(typed, one)
		}
	}
	return snapshot.NewObjects(typed...)
}

// dressed is a copy of the object with its generation and status. What lies
// below is shared and never modified.
func (s *Set) dressed(object Object) metav1.Object {
	if definitionOfKind(object.Key.Kind).plural == "" {
		return object.Value
	}
	dressed := shallow(object.Value)
	dressed.SetGeneration(max(s.generations[object.Key], 1))
	if status, found := s.statuses[object.Key]; found {
		report.Apply(status, dressed)
	}
	return dressed
}

// shallow copies the outermost struct of a kind with a CRD.
func shallow(object metav1.Object) metav1.Object {
	switch o := object.(type) {
	case *gatewayv1.GatewayClass:
		return new(*o)
	case *gatewayv1.Gateway:
		return new(*o)
	case *gatewayv1.ListenerSet:
		return new(*o)
	case *gatewayv1.HTTPRoute:
		return new(*o)
	case *gatewayv1.GRPCRoute:
		return new(*o)
	case *gatewayv1.TLSRoute:
		return new(*o)
	case *gatewayv1.TCPRoute:
		return new(*o)
	case *gatewayv1.ReferenceGrant:
		return new(*o)
	case *gatewayv1.BackendTLSPolicy:
		return new(*o)
	case *v1alpha1.GatewayParameters:
		return new(*o)
	}
	return object
}
