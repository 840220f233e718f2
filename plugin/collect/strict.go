package collect

import (
	"fmt"
	"strings"

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
	snap.Gateways = snapshot.NewObjects(supposedGateway())
	snap.ListenerSets = snapshot.Objects[*gatewayv1.ListenerSet]{}
	snap.HTTPRoutes = snapshot.NewObjects(w.supposedRoutes()...)
	snap.GRPCRoutes = snapshot.NewObjects(w.supposedCalls()...)
	snap.TLSRoutes = snapshot.Objects[*gatewayv1.TLSRoute]{}
	snap.TCPRoutes = snapshot.Objects[*gatewayv1.TCPRoute]{}
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

func supposedGateway() *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		Namespace: supposed, Name: supposed,
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: supposed,
			Listeners:        []gatewayv1.Listener{supposedListener(supposedHTTP, 80), supposedListener(supposedGRPC, 81)},
		},
	}
}

// The listeners of the Gateway that is supposed, one for each kind of routes: a
// hostname is not theirs together.
const supposedHTTP, supposedGRPC = "http", "grpc"

func supposedListener(name gatewayv1.SectionName, port gatewayv1.PortNumber) gatewayv1.Listener {
	return gatewayv1.Listener{
		Name:     name,
		Port:     port,
		Protocol: gatewayv1.HTTPProtocolType,
		AllowedRoutes: &gatewayv1.AllowedRoutes{
			Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromAll)},
		},
	}
}

func supposedParent(listener gatewayv1.SectionName) gatewayv1.CommonRouteSpec {
	return gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
		Namespace: new(gatewayv1.Namespace(supposed)), Name: supposed, SectionName: new(listener),
	}}}
}

// speaksGRPC says whether a port speaks gRPC and nothing else.
func speaksGRPC(port Port) bool {
	return port.Spec.AppProtocol != nil && strings.EqualFold(*port.Spec.AppProtocol, "grpc")
}

// supposedCalls is one route for each port that HTTPRoutes cannot lead to.
func (w *World) supposedCalls() (routes []*gatewayv1.GRPCRoute) {
	for _, port := range w.Ports() {
		if !speaksGRPC(port) {
			continue
		}
		route := &gatewayv1.GRPCRoute{
			Namespace: port.Service.Namespace, Name: fmt.Sprintf("%s/%s/%d", supposed, port.Service.Name, port.Spec.Port),
			Spec: gatewayv1.GRPCRouteSpec{
				CommonRouteSpec: supposedParent(supposedGRPC),
				Rules: []gatewayv1.GRPCRouteRule{{BackendRefs: []gatewayv1.GRPCBackendRef{{
					Name: gatewayv1.ObjectName(port.Service.Name), Port: new(port.Spec.Port),
				}}}},
			},
		}
		routes = append(routes, route)
	}
	return routes
}

// supposedRoutes is one route for each Service, in its namespace, with a rule
// for each port.
func (w *World) supposedRoutes() []*gatewayv1.HTTPRoute {
	byService := map[gwapi.Key]*gatewayv1.HTTPRoute{}
	var routes []*gatewayv1.HTTPRoute
	for _, port := range w.Ports() {
		if speaksGRPC(port) {
			continue
		}
		route := byService[port.Service]
		if route == nil {
			route = &gatewayv1.HTTPRoute{
				Namespace: port.Service.Namespace, Name: supposed + "/" + port.Service.Name,
				Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: supposedParent(supposedHTTP)},
			}
			byService[port.Service] = route
			routes = append(routes, route)
		}
		backend := gatewayv1.HTTPBackendRef{
			Name: gatewayv1.ObjectName(port.Service.Name),
			Port: new(port.Spec.Port),
		}
		route.Spec.Rules = append(route.Spec.Rules, gatewayv1.HTTPRouteRule{
			BackendRefs: []gatewayv1.HTTPBackendRef{backend},
		})
	}
	return routes
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
