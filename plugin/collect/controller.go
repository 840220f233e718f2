package collect

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// ControllerOf is the controllerName of the Gateway that a path begins at: its
// class's or, where that could not be read for lack of rights, the one that wrote
// the status of the route about that Gateway. "" where neither is known.
func (w *World) ControllerOf(path model.Path) string {
	if _, hidden := w.Hidden(gwapi.KindGatewayClass, ""); path.Controller != "" || !hidden {
		return path.Controller
	}
	for _, parent := range w.parents(path.Route) {
		key, known := gwapi.ParentKey(&parent.ParentRef, path.Route.Namespace)
		if known && key == path.Gateway {
			return string(parent.ControllerName)
		}
	}
	return ""
}

// parents are what a route's status says of each of its parents.
func (w *World) parents(route gwapi.Key) []gatewayv1.RouteParentStatus {
	name := route.NamespacedName()
	if found, known := w.Snapshot.HTTPRoutes.Get(name); known && route.Kind == gwapi.KindHTTPRoute {
		return found.Status.Parents
	}
	if found, known := w.Snapshot.GRPCRoutes.Get(name); known && route.Kind == gwapi.KindGRPCRoute {
		return found.Status.Parents
	}
	if found, known := w.Snapshot.TLSRoutes.Get(name); known && route.Kind == gwapi.KindTLSRoute {
		return found.Status.Parents
	}
	if found, known := w.Snapshot.TCPRoutes.Get(name); known && route.Kind == gwapi.KindTCPRoute {
		return found.Status.Parents
	}
	return nil
}
