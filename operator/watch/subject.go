package watch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
)

// How to install what is missing.
const (
	installGatewayAPI = "kubectl apply --server-side -f " +
		"https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.7.0/standard-install.yaml"
	installOurs = "kubectl apply --server-side -f manifests/01-crd.yaml"
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
}

// everySubject lists the kinds. Optional are those without which a Gateway
// serves what it can: what its other listeners and routes say stands.
func (s *Source) everySubject() []*subject {
	gateway := func(kind gwapi.Kind, plural string, o client.Object, h toolscache.ResourceEventHandler) *subject {
		return &subject{version: gatewayv1.SchemeGroupVersion, kind: kind, plural: plural, object: o, handler: h}
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

// custom says whether a CustomResourceDefinition defines the kind.
func (s *subject) custom() bool {
	return s.version.Group == gatewayv1.GroupName || s.version.Group == v1alpha1.GroupVersion.Group
}

// definition is the name of the kind's CustomResourceDefinition.
func (s *subject) definition() string { return s.plural + "." + s.version.Group }

// ask lists one object of the kind: the API server then says whether it serves
// the version that is read here, and whether the operator may read it.
func (s *subject) ask(ctx context.Context, reader client.Reader, patience time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(s.version.WithKind(string(s.kind) + "List"))
	return reader.List(ctx, list, client.Limit(1))
}

// follow begins to watch what can be watched, and says whether nothing is
// missing that is needed. What is missing is one line in the log.
func (s *Source) follow(ctx context.Context) bool {
	var missing, absent, refused []string
	install := map[string]bool{}
	for _, subject := range s.subjects {
		if subject.following != nil {
			continue
		}
		err := subject.ask(ctx, s.config.Client, s.pace.patience)
		if err == nil {
			err = s.watch(ctx, subject)
		}
		switch {
		case err == nil:
		case !(apierrors.IsNotFound(err) || meta.IsNoMatchError(err)):
			refused = append(refused, fmt.Sprintf("%s: %v", schema.GroupResource{
				Group: subject.version.Group, Resource: subject.plural,
			}, err))
			if !apierrors.IsForbidden(err) {
				// Nothing else will be answered now.
				s.tellRefused(ctx, refused)
				return false
			}
		case subject.optional:
			absent = append(absent, subject.definition())
		default:
			missing = append(missing, subject.definition()+" ("+subject.version.Version+")")
			install[installerOf(subject)] = true
		}
	}
	s.tellRefused(ctx, refused)
	s.tellMissing(missing, install)
	if len(missing) == 0 && len(refused) == 0 {
		s.tellAbsent(absent)
		return true
	}
	return false
}

// watch begins to follow a kind.
func (s *Source) watch(ctx context.Context, subject *subject) error {
	informer, err := s.config.Cache.GetInformer(ctx, subject.object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	subject.following, err = informer.AddEventHandler(subject.handler)
	return err
}

func installerOf(s *subject) string {
	if s.version.Group == gatewayv1.GroupName {
		return installGatewayAPI
	}
	return installOurs
}

func (s *Source) tellRefused(ctx context.Context, refused []string) {
	switch {
	case ctx.Err() != nil:
	case len(refused) > 0:
		s.journal.say("refused", time.Now(), slog.LevelError,
			"waiting, objects cannot be listed: the API server is not to be reached, or the operator's ClusterRole "+
				"lacks get, list and watch of them", "faults", refused)
	case s.journal.over("refused"):
		s.config.Log.Info("objects can be listed now")
	}
}

func (s *Source) tellMissing(missing []string, install map[string]bool) {
	const subject = "missing "
	slices.Sort(missing)
	now := strings.Join(missing, " ")
	if s.lacking != now && s.journal.over(subject+s.lacking) && now == "" {
		s.config.Log.Info("the CustomResourceDefinitions that were missing are there now")
	}
	s.lacking = now
	if now == "" {
		return
	}
	var commands []string
	for _, command := range []string{installGatewayAPI, installOurs} {
		if install[command] {
			commands = append(commands, command)
		}
	}
	s.journal.say(subject+now, time.Now(), slog.LevelError,
		"waiting for CustomResourceDefinitions that are not installed, or not in the version in brackets; "+
			"nothing is served before", "missing", missing, "install", commands)
}

func (s *Source) tellAbsent(absent []string) {
	slices.Sort(absent)
	now := strings.Join(absent, " ")
	if s.absent == now {
		return
	}
	s.absent = now
	if now != "" {
		s.config.Log.Info("optional CustomResourceDefinitions are not installed, their kinds are not read", "absent", absent)
	}
}
