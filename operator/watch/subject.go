package watch

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
)

// subject is a kind that is followed.
type subject struct {
	version schema.GroupVersion
	kind    gwapi.Kind
	plural  string
	// optional: a cluster may lack the kind, which then has no objects.
	optional bool
	object   client.Object
	handler  toolscache.ResourceEventHandler
	// following is nil before the kind is there.
	following toolscache.ResourceEventHandlerRegistration
	// asked is when ask did last. refused counts the refusals in a row: the API
	// server does not serve the kind or, as denied says of the last one, the
	// operator may not list it.
	asked   time.Time
	refused int
	denied  bool
}

// everySubject lists the kinds. Optional are those without which a Gateway
// serves what it can: what its other listeners and routes say stands.
func (s *Source) everySubject() []*subject {
	gateway := func(kind gwapi.Kind, plural string, o client.Object, h toolscache.ResourceEventHandler) *subject {
		return &subject{version: gatewayVersion, kind: kind, plural: plural, object: o, handler: h}
	}
	optional := func(subject *subject) *subject {
		subject.optional = true
		return subject
	}
	core := func(kind gwapi.Kind, plural string, o client.Object, h toolscache.ResourceEventHandler) *subject {
		return &subject{version: corev1.SchemeGroupVersion, kind: kind, plural: plural, object: o, handler: h}
	}
	t := &s.tables
	return []*subject{
		gateway(gwapi.KindGatewayClass, "gatewayclasses", &gatewayv1.GatewayClass{}, handle(t.classes)),
		gateway(gwapi.KindGateway, "gateways", &gatewayv1.Gateway{}, handle(t.gateways)),
		gateway(gwapi.KindHTTPRoute, "httproutes", &gatewayv1.HTTPRoute{}, handle(t.httpRoutes)),
		gateway(gwapi.KindBackendTLSPolicy, "backendtlspolicies", &gatewayv1.BackendTLSPolicy{}, handle(t.policies)),
		gateway(gwapi.KindReferenceGrant, "referencegrants", &gatewayv1.ReferenceGrant{}, handle(t.grants)),
		optional(gateway(gwapi.KindListenerSet, "listenersets", &gatewayv1.ListenerSet{}, handle(t.listenerSets))),
		optional(gateway(gwapi.KindGRPCRoute, "grpcroutes", &gatewayv1.GRPCRoute{}, handle(t.grpcRoutes))),
		optional(gateway(gwapi.KindTLSRoute, "tlsroutes", &gatewayv1.TLSRoute{}, handle(t.tlsRoutes))),
		optional(gateway(gwapi.KindTCPRoute, "tcproutes", &gatewayv1.TCPRoute{}, handle(t.tcpRoutes))),
		{
			version: v1alpha1.GroupVersion, kind: gwapi.KindGatewayParameters, plural: "gatewayparameters",
			object: &v1alpha1.GatewayParameters{}, handler: handle(t.parameters),
		},
		core(gwapi.KindService, "services", &corev1.Service{}, handle(t.services)),
		core(gwapi.KindNamespace, "namespaces", &corev1.Namespace{}, handle(t.namespaces)),
		core(gwapi.KindSecret, "secrets", partial(gwapi.KindSecret),
			handler[*metav1.PartialObjectMetadata]{metadata{s.contents, gwapi.KindSecret}}),
		core(gwapi.KindConfigMap, "configmaps", partial(gwapi.KindConfigMap),
			handler[*metav1.PartialObjectMetadata]{metadata{s.contents, gwapi.KindConfigMap}}),
		optional(&subject{
			version: certificatesv1.SchemeGroupVersion, kind: gwapi.KindClusterTrustBundle, plural: "clustertrustbundles",
			object: &certificatesv1.ClusterTrustBundle{}, handler: handle(t.trustBundles),
		}),
		{
			version: discoveryv1.SchemeGroupVersion, kind: gwapi.KindEndpointSlice, plural: "endpointslices",
			object: &discoveryv1.EndpointSlice{}, handler: handler[*discoveryv1.EndpointSlice]{s.slices},
		},
	}
}

func handle[T client.Object](t *table[T]) toolscache.ResourceEventHandler { return handler[T]{t} }

func partial(kind gwapi.Kind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(string(kind)))
	return object
}

// definition is the name of the kind's CustomResourceDefinition.
func (s *subject) definition() string { return s.plural + "." + s.version.Group }

// ask lists one object of the kind: the API server then says whether it serves
// the version that is read here, and whether the operator may read it. Where
// nobody answers, what was answered last stands.
func (s *subject) ask(ctx context.Context, reader client.Reader, patience time.Duration) error {
	s.asked = time.Now()
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(s.version.WithKind(string(s.kind) + "List"))
	err := reader.List(ctx, list, client.Limit(1))
	switch denied := apierrors.IsForbidden(err); {
	case err == nil:
		s.refused, s.denied = 0, false
	case denied, unserved(err):
		s.refused, s.denied = s.refused+1, denied
	}
	return err
}
