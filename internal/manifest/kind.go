package manifest

import (
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
)

// definition is what there is to know of one kind.
type definition struct {
	kind  gwapi.Kind
	group string
	// versions are those that are read; the first is the one to write.
	versions []string
	cluster  bool
	// plural names the CRD; "" for a kind that every cluster has.
	plural string
	// decides says that the object's content decides what is trusted, so that
	// a bad one fails closed instead of being absent.
	decides bool
	new     func() metav1.Object
	// name validates metadata.name, as the API server does for that kind.
	name validation.ValidateNameFunc
	// check validates a kind without a CRD, after defaults.
	check func(metav1.Object) field.ErrorList
	// prepare runs on the decoded document of a kind without a CRD.
	prepare func(map[string]any) field.ErrorList
}

const gatewayGroup = gatewayv1.GroupName

var definitions = []definition{
	gatewayKind(gwapi.KindGatewayClass, "gatewayclasses", func() metav1.Object { return &gatewayv1.GatewayClass{} }),
	gatewayKind(gwapi.KindGateway, "gateways", func() metav1.Object { return &gatewayv1.Gateway{} }),
	gatewayKind(gwapi.KindListenerSet, "listenersets", func() metav1.Object { return &gatewayv1.ListenerSet{} }),
	gatewayKind(gwapi.KindHTTPRoute, "httproutes", func() metav1.Object { return &gatewayv1.HTTPRoute{} }),
	gatewayKind(gwapi.KindGRPCRoute, "grpcroutes", func() metav1.Object { return &gatewayv1.GRPCRoute{} }),
	gatewayKind(gwapi.KindTLSRoute, "tlsroutes", func() metav1.Object { return &gatewayv1.TLSRoute{} }),
	gatewayKind(gwapi.KindTCPRoute, "tcproutes", func() metav1.Object { return &gatewayv1.TCPRoute{} }),
	gatewayKind(gwapi.KindReferenceGrant, "referencegrants",
		func() metav1.Object { return &gatewayv1.ReferenceGrant{} }, "v1beta1"),
	gatewayKind(gwapi.KindBackendTLSPolicy, "backendtlspolicies",
		func() metav1.Object { return &gatewayv1.BackendTLSPolicy{} }),
	{
		kind: gwapi.KindGatewayParameters, group: v1alpha1.GroupVersion.Group,
		versions: []string{v1alpha1.GroupVersion.Version}, plural: "gatewayparameters", decides: true,
		new: func() metav1.Object { return &v1alpha1.GatewayParameters{} }, name: validation.NameIsDNSSubdomain,
	},
	{
		kind: gwapi.KindService, versions: []string{"v1"}, name: validation.NameIsDNSLabel,
		new: func() metav1.Object { return &corev1.Service{} }, check: checkService,
	},
	{
		kind: gwapi.KindEndpointSlice, group: discoveryv1.GroupName, versions: []string{"v1"},
		name: validation.NameIsDNSSubdomain,
		new:  func() metav1.Object { return &discoveryv1.EndpointSlice{} }, check: checkEndpointSlice,
	},
	{
		kind: gwapi.KindSecret, versions: []string{"v1"}, name: validation.NameIsDNSSubdomain, decides: true,
		new: func() metav1.Object { return &corev1.Secret{} }, prepare: prepareSecret, check: checkSecret,
	},
	{
		kind: gwapi.KindConfigMap, versions: []string{"v1"}, name: validation.NameIsDNSSubdomain, decides: true,
		new: func() metav1.Object { return &corev1.ConfigMap{} }, prepare: prepareConfigMap, check: checkConfigMap,
	},
	{
		kind: gwapi.KindClusterTrustBundle, group: certificatesv1.GroupName, versions: []string{"v1", "v1beta1"},
		name: nameOfTrustBundle, cluster: true, decides: true,
		new: func() metav1.Object { return &certificatesv1.ClusterTrustBundle{} }, check: checkTrustBundle,
	},
	{
		kind: gwapi.KindNamespace, versions: []string{"v1"}, name: validation.NameIsDNSLabel, cluster: true,
		decides: true, new: func() metav1.Object { return &corev1.Namespace{} }, check: defaultNamespace,
	},
}

func gatewayKind(kind gwapi.Kind, plural string, create func() metav1.Object, older ...string) definition {
	return definition{
		kind: kind, group: gatewayGroup, versions: append([]string{"v1"}, older...), plural: plural,
		cluster: kind == gwapi.KindGatewayClass, decides: kind == gwapi.KindBackendTLSPolicy,
		new: create, name: validation.NameIsDNSSubdomain,
	}
}

// definitionOf is the definition of a kind in a group, nil for others.
func definitionOf(group, kind string) *definition {
	i := slices.IndexFunc(definitions, func(d definition) bool { return string(d.kind) == kind && d.group == group })
	if i < 0 {
		return nil
	}
	return &definitions[i]
}

// meantFor is the definition of a kind that decides what is trusted, where a
// group and kind that nobody serves can be meant for nothing else: they differ
// from it by case, by the plural, or by the group under which Gateway API keeps
// its experiments. Nil for all others, which are somebody else's.
func meantFor(group, kind string) *definition {
	group = strings.Replace(strings.ToLower(group), ".x-k8s.io", ".k8s.io", 1)
	i := slices.IndexFunc(definitions, func(d definition) bool {
		return d.decides && d.plural != "" && d.group == group &&
			(strings.EqualFold(string(d.kind), kind) || strings.EqualFold(d.plural, kind))
	})
	if i < 0 {
		return nil
	}
	return &definitions[i]
}

// isGroup says whether kinds of that group are read.
func isGroup(group string) bool {
	return slices.ContainsFunc(definitions, func(d definition) bool { return d.group == group })
}

// definitionOfKind is the definition of a kind, nil for an unknown one.
func definitionOfKind(kind gwapi.Kind) *definition {
	i := slices.IndexFunc(definitions, func(d definition) bool { return d.kind == kind })
	if i < 0 {
		return nil
	}
	return &definitions[i]
}

// Decides says whether an object of that kind decides what is trusted, so
// that a faulty one fails closed instead of being ignored.
func Decides(kind gwapi.Kind) bool {
	d := definitionOfKind(kind)
	return d != nil && d.decides
}

// APIVersion is the apiVersion to write for a kind; "" for an unknown one.
func APIVersion(kind gwapi.Kind) string {
	d := definitionOfKind(kind)
	if d == nil {
		return ""
	}
	return d.apiVersion(d.versions[0])
}

func (d *definition) apiVersion(version string) string {
	if d.group == "" {
		return version
	}
	return d.group + "/" + version
}

// maxValues is how large an object of the kind may be.
func (d *definition) maxValues() int {
	if d.plural == "" {
		return maxObjectValues
	}
	return maxResourceValues
}

// reads says whether objects of that version are accepted.
func (d *definition) reads(version string) bool { return slices.Contains(d.versions, version) }
