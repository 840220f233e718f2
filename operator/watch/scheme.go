package watch

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
)

// crdKind is read as metadata only, so that its types are not needed.
var crdKind = schema.GroupVersionKind{
	Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition",
}

// gatewayVersion is the version of the Gateway API that is read.
var gatewayVersion = schema.GroupVersion(gatewayv1.GroupVersion)

// Scheme has the types of every kind that the operator reads or writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, certificatesv1.AddToScheme,
		coordinationv1.AddToScheme,
		discoveryv1.AddToScheme, eventsv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		metav1.AddMetaToScheme, gatewayv1.Install, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	return scheme, nil
}

// Mapper knows the resource of every kind that the operator reads or writes.
// It asks nobody: a cache can be made while the API server is away or lacks a
// CustomResourceDefinition.
func Mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	add := func(version schema.GroupVersion, scope meta.RESTScope, resources map[string]string) {
		for kind, plural := range resources {
			mapper.AddSpecific(version.WithKind(kind), version.WithResource(plural), version.WithResource(plural), scope)
		}
	}
	add(corev1.SchemeGroupVersion, meta.RESTScopeRoot, map[string]string{"Namespace": "namespaces", "Node": "nodes"})
	add(corev1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{
		"Pod": "pods", "Service": "services", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps",
		"Secret": "secrets", "Event": "events",
	})
	add(appsv1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{
		"Deployment": "deployments", "ReplicaSet": "replicasets",
	})
	add(autoscalingv2.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{
		"HorizontalPodAutoscaler": "horizontalpodautoscalers",
	})
	add(coordinationv1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{"Lease": "leases"})
	add(discoveryv1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{"EndpointSlice": "endpointslices"})
	add(eventsv1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{"Event": "events"})
	add(networkingv1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{
		"NetworkPolicy": "networkpolicies",
	})
	add(policyv1.SchemeGroupVersion, meta.RESTScopeNamespace, map[string]string{
		"PodDisruptionBudget": "poddisruptionbudgets",
	})
	add(crdKind.GroupVersion(), meta.RESTScopeRoot, map[string]string{crdKind.Kind: "customresourcedefinitions"})
	add(gatewayVersion, meta.RESTScopeRoot, map[string]string{"GatewayClass": "gatewayclasses"})
	add(gatewayVersion, meta.RESTScopeNamespace, map[string]string{
		"Gateway": "gateways", "ListenerSet": "listenersets", "HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes",
		"TLSRoute": "tlsroutes", "TCPRoute": "tcproutes", "ReferenceGrant": "referencegrants",
		"BackendTLSPolicy": "backendtlspolicies",
	})
	add(certificatesv1.SchemeGroupVersion, meta.RESTScopeRoot, map[string]string{
		"ClusterTrustBundle": "clustertrustbundles",
	})
	add(v1alpha1.GroupVersion, meta.RESTScopeNamespace, map[string]string{"GatewayParameters": "gatewayparameters"})
	return mapper
}

// NewReader is a client for Config.Client: without a cache, and without a limit
// of its own on requests per second. Contents are read in bursts, after a start
// and when many certificates are renewed at once, and must not queue for longer
// than a read may take; the API server's priority and fairness bounds them.
func NewReader(config *rest.Config) (client.Client, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.RateLimiter = -1, nil
	reader, err := client.New(config, client.Options{Scheme: scheme, Mapper: Mapper()})
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	return reader, nil
}
