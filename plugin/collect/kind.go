package collect

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
)

// resource is one kind as an API server serves it.
type resource struct {
	kind   gwapi.Kind
	plural string
	// cluster says that its objects have no namespace.
	cluster bool
	// older are the versions to ask for, newest first, where a cluster does not
	// serve the one of list. Their fields are a subset of that one's.
	older []string
	new   func() client.Object
	list  func() client.ObjectList
}

// listed are the kinds that are listed, in the order in which messages name
// them. Secrets are never read, and ConfigMaps only by name.
var listed = []resource{
	{
		kind: gwapi.KindGatewayClass, plural: "gatewayclasses", cluster: true, older: []string{"v1beta1"},
		new:  func() client.Object { return &gatewayv1.GatewayClass{} },
		list: func() client.ObjectList { return &gatewayv1.GatewayClassList{} },
	},
	{
		kind: gwapi.KindGateway, plural: "gateways", older: []string{"v1beta1"},
		new:  func() client.Object { return &gatewayv1.Gateway{} },
		list: func() client.ObjectList { return &gatewayv1.GatewayList{} },
	},
	{
		kind: gwapi.KindListenerSet, plural: "listenersets",
		new:  func() client.Object { return &gatewayv1.ListenerSet{} },
		list: func() client.ObjectList { return &gatewayv1.ListenerSetList{} },
	},
	{
		kind: gwapi.KindHTTPRoute, plural: "httproutes", older: []string{"v1beta1"},
		new:  func() client.Object { return &gatewayv1.HTTPRoute{} },
		list: func() client.ObjectList { return &gatewayv1.HTTPRouteList{} },
	},
	{
		kind: gwapi.KindGRPCRoute, plural: "grpcroutes", older: []string{"v1alpha2"},
		new:  func() client.Object { return &gatewayv1.GRPCRoute{} },
		list: func() client.ObjectList { return &gatewayv1.GRPCRouteList{} },
	},
	{
		kind: gwapi.KindTLSRoute, plural: "tlsroutes", older: []string{"v1alpha3", "v1alpha2"},
		new:  func() client.Object { return &gatewayv1.TLSRoute{} },
		list: func() client.ObjectList { return &gatewayv1.TLSRouteList{} },
	},
	{
		kind: gwapi.KindTCPRoute, plural: "tcproutes", older: []string{"v1alpha2"},
		new:  func() client.Object { return &gatewayv1.TCPRoute{} },
		list: func() client.ObjectList { return &gatewayv1.TCPRouteList{} },
	},
	{
		kind: gwapi.KindReferenceGrant, plural: "referencegrants", older: []string{"v1beta1"},
		new:  func() client.Object { return &gatewayv1.ReferenceGrant{} },
		list: func() client.ObjectList { return &gatewayv1.ReferenceGrantList{} },
	},
	{
		kind: gwapi.KindBackendTLSPolicy, plural: "backendtlspolicies", older: []string{"v1alpha3"},
		new:  func() client.Object { return &gatewayv1.BackendTLSPolicy{} },
		list: func() client.ObjectList { return &gatewayv1.BackendTLSPolicyList{} },
	},
	{
		kind: gwapi.KindGatewayParameters, plural: "gatewayparameters",
		new:  func() client.Object { return &v1alpha1.GatewayParameters{} },
		list: func() client.ObjectList { return &v1alpha1.GatewayParametersList{} },
	},
	{
		kind: gwapi.KindNamespace, plural: "namespaces", cluster: true,
		new:  func() client.Object { return &corev1.Namespace{} },
		list: func() client.ObjectList { return &corev1.NamespaceList{} },
	},
	{
		kind: gwapi.KindService, plural: "services",
		new:  func() client.Object { return &corev1.Service{} },
		list: func() client.ObjectList { return &corev1.ServiceList{} },
	},
	endpointSlices,
}

var endpointSlices = resource{
	kind: gwapi.KindEndpointSlice, plural: "endpointslices",
	new:  func() client.Object { return &discoveryv1.EndpointSlice{} },
	list: func() client.ObjectList { return &discoveryv1.EndpointSliceList{} },
}

// configMaps are read by name only.
var configMaps = resource{
	kind: gwapi.KindConfigMap, plural: "configmaps",
	new:  func() client.Object { return &corev1.ConfigMap{} },
	list: func() client.ObjectList { return &corev1.ConfigMapList{} },
}

// trustBundles are read by name only too: not everybody may list them.
var trustBundles = resource{
	kind: gwapi.KindClusterTrustBundle, plural: "clustertrustbundles", cluster: true,
	new:  func() client.Object { return &certificatesv1.ClusterTrustBundle{} },
	list: func() client.ObjectList { return &certificatesv1.ClusterTrustBundleList{} },
}

// resourceOf is the resource of a kind that is read.
func resourceOf(kind gwapi.Kind) (resource, bool) {
	switch kind {
	case gwapi.KindConfigMap:
		return configMaps, true
	case gwapi.KindClusterTrustBundle:
		return trustBundles, true
	default:
	}
	for _, known := range listed {
		if known.kind == kind {
			return known, true
		}
	}
	return resource{}, false
}

// qualified is the resource with its group, as RBAC and kubectl name it.
func (r resource) qualified() string {
	if group := r.kind.Group(); group != "" {
		return r.plural + "." + group
	}
	return r.plural
}

// Scheme knows the types of every kind that is read or written in a cluster.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for name, add := range map[string]func(*runtime.Scheme) error{
		"core": corev1.AddToScheme, certificatesv1.GroupName: certificatesv1.AddToScheme,
		"discovery.k8s.io":     discoveryv1.AddToScheme,
		"authorization.k8s.io": authorizationv1.AddToScheme, gatewayv1.GroupName: gatewayv1.Install,
		v1alpha1.GroupVersion.Group: v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("types of %s: %w", name, err)
		}
	}
	return scheme, nil
}

// Mapper maps those kinds to resources. It is fixed, so that no discovery has
// to be allowed, waited for or kept: a kind that a cluster does not serve is
// answered with 404.
func Mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	add := func(group, version, kind, plural string, scope meta.RESTScope) {
		gv := schema.GroupVersion{Group: group, Version: version}
		mapper.AddSpecific(gv.WithKind(kind), gv.WithResource(plural), gv.WithResource(plural), scope)
	}
	for _, known := range append([]resource{configMaps, trustBundles}, listed...) {
		scope := meta.RESTScopeNamespace
		if known.cluster {
			scope = meta.RESTScopeRoot
		}
		for _, version := range append([]string{version(known.kind)}, known.older...) {
			add(known.kind.Group(), version, string(known.kind), known.plural, scope)
		}
	}
	mapNeighbours(mapper)
	add("", "v1", "Pod", "pods", meta.RESTScopeNamespace)
	add("", "v1", "Event", "events", meta.RESTScopeNamespace)
	add(authorizationv1.GroupName, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", meta.RESTScopeRoot)
	return mapper
}

// version is the one in which objects of the kind are read and written.
func version(kind gwapi.Kind) string {
	if kind == gwapi.KindGatewayParameters {
		return v1alpha1.GroupVersion.Version
	}
	return metav1.SchemeGroupVersion.Version
}
