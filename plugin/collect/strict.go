package collect

import (
	"fmt"
	"maps"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// supposed is the name and namespace of the objects that strict supposes. The
// slash keeps them apart from every object that can exist.
const supposed = gwapi.Prefix + "supposed"

// strict is what the operator decides about every port if a route of a Gateway
// of its own led there and no policy had a mode. Asking Build, instead of
// choosing the policy here, keeps one rule in one place.
func (w *World) strict() []model.Path { return w.supposing(withoutMode) }

// supposing is what Build makes of a route to every port, if every policy were
// what rewritten makes of it.
func (w *World) supposing(
	rewritten func(*gatewayv1.BackendTLSPolicy) *gatewayv1.BackendTLSPolicy,
) []model.Path {
	snap := *w.Snapshot
	snap.GatewayClasses = snapshot.NewObjects(&gatewayv1.GatewayClass{
		Name: supposed,
		Spec: gatewayv1.GatewayClassSpec{ControllerName: gwapi.ControllerName},
	})
	snap.Gateways = snapshot.NewObjects(supposedGateways()...)
	snap.ListenerSets = snapshot.Objects[*gatewayv1.ListenerSet]{}
	w.supposeRoutes(&snap)
	// Nobody has looked at what the listener for TLS presents, so that its routes
	// are told as if it presented something.
	snap.Unseen = maps.Clone(snap.Unseen)
	if snap.Unseen == nil {
		snap.Unseen = map[snapshot.Scope]string{}
	}
	snap.Unseen[snapshot.Scope{Kind: gwapi.KindSecret, Namespace: supposed}] = supposed
	policies := w.Snapshot.TLSPolicies.Sorted()
	for i, policy := range policies {
		policies[i] = rewritten(policy)
	}
	snap.TLSPolicies = snapshot.NewObjects(policies...)
	snap.Observed = snapshot.Observed{}

	result := resolve.Build(&snap)
	for key := range result.Refs {
		if key.Namespace != supposed && key.Name != supposed {
			w.refs[key] = true
		}
	}
	return result.Paths
}

// supposable are the kinds of routes that are supposed: of those that lead to a
// port, or of all of them where none does, the first one that can speak to it.
var supposable = [...]gwapi.Kind{gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute}

// supposedKind is the kind of the route to a port that is supposed. What passes
// the client's own TLS on leads past the policies, and does not count.
func supposedKind(port Port) gwapi.Kind {
	reached := func(kind gwapi.Kind) bool {
		return slices.ContainsFunc(port.Paths, func(path model.Path) bool {
			return path.Route.Kind == kind && !path.Passthrough
		})
	}
	first := gwapi.KindTLSRoute
	for _, kind := range slices.Backward(supposable[:]) {
		if resolve.Speaks(kind, port.Spec) {
			first = kind
		}
	}
	for _, kind := range supposable {
		if resolve.Speaks(kind, port.Spec) && reached(kind) {
			return kind
		}
	}
	return first
}

// supposedGateways are a Gateway for each kind of routes: what a policy may ask
// for depends on what is spoken to all the ports that a Gateway leads to.
func supposedGateways() (gateways []*gatewayv1.Gateway) {
	for _, kind := range supposable {
		listener := gatewayv1.Listener{
			Name: supposedListener, Port: 80, Protocol: gatewayv1.HTTPProtocolType,
			AllowedRoutes: &gatewayv1.AllowedRoutes{
				Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromAll)},
			},
		}
		if kind == gwapi.KindTLSRoute {
			listener.Protocol = gatewayv1.TLSProtocolType
			listener.TLS = &gatewayv1.ListenerTLSConfig{
				Mode:            new(gatewayv1.TLSModeTerminate),
				CertificateRefs: []gatewayv1.SecretObjectReference{{Name: supposed}},
			}
		}
		gateways = append(gateways, &gatewayv1.Gateway{
			Namespace: supposed, Name: string(kind),
			Spec: gatewayv1.GatewaySpec{GatewayClassName: supposed, Listeners: []gatewayv1.Listener{listener}},
		})
	}
	return gateways
}

// supposedListener is the only listener of a Gateway that is supposed.
const supposedListener = "supposed"

// supposeRoutes leads one route to each port.
func (w *World) supposeRoutes(snap *snapshot.Snapshot) {
	var requests []*gatewayv1.HTTPRoute
	var calls []*gatewayv1.GRPCRoute
	var connections []*gatewayv1.TLSRoute
	for _, port := range w.Ports() {
		kind := supposedKind(port)
		namespace, name := port.Service.Namespace, fmt.Sprintf("%s/%s/%d", supposed, port.Service.Name, port.Spec.Port)
		parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
			Namespace: new(gatewayv1.Namespace(supposed)), Name: gatewayv1.ObjectName(kind),
		}}}
		backend := gatewayv1.BackendRef{
			Name: gatewayv1.ObjectName(port.Service.Name), Port: new(port.Spec.Port),
		}
		switch kind {
		case gwapi.KindGRPCRoute:
			calls = append(calls, &gatewayv1.GRPCRoute{Namespace: namespace, Name: name, Spec: gatewayv1.GRPCRouteSpec{
				CommonRouteSpec: parents,
				Rules:           []gatewayv1.GRPCRouteRule{{BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: backend}}}},
			}})
		case gwapi.KindTLSRoute:
			connections = append(connections, &gatewayv1.TLSRoute{Namespace: namespace, Name: name, Spec: gatewayv1.TLSRouteSpec{
				CommonRouteSpec: parents,
				Rules:           []gatewayv1.TLSRouteRule{{BackendRefs: []gatewayv1.BackendRef{backend}}},
			}})
		default:
			requests = append(requests, &gatewayv1.HTTPRoute{Namespace: namespace, Name: name, Spec: gatewayv1.HTTPRouteSpec{
				CommonRouteSpec: parents,
				Rules:           []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: backend}}}},
			}})
		}
	}
	snap.HTTPRoutes, snap.GRPCRoutes = snapshot.NewObjects(requests...), snapshot.NewObjects(calls...)
	snap.TLSRoutes, snap.TCPRoutes = snapshot.NewObjects(connections...), snapshot.Objects[*gatewayv1.TCPRoute]{}
}

// withoutMode is the policy without the options that ask for a mode, and
// without the status, whose entries would take up places on the Gateway that
// is only supposed.
func withoutMode(policy *gatewayv1.BackendTLSPolicy) *gatewayv1.BackendTLSPolicy {
	written := policy.DeepCopy()
	for _, option := range [...]string{"mode", "mode-since", "mode-until", "mode-reason"} {
		delete(written.Spec.Options, gatewayv1.AnnotationKey(gwapi.Prefix+option))
	}
	written.Status = gatewayv1.PolicyStatus{}
	return written
}
