package resolve

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// spokenBy is what a route of a kind speaks to a port, inside TLS if any: gRPC is
// HTTP/2 whatever the port says, a TLSRoute's bytes are the client's, and the
// rest is HTTP/1.1 unless the appProtocol is kubernetes.io/h2c (Kubernetes'
// standard names, GEP-1911).
func spokenBy(kind gwapi.Kind, port corev1.ServicePort) model.BackendProtocol {
	switch {
	case kind == gwapi.KindGRPCRoute:
		return model.HTTP2
	case kind == gwapi.KindTLSRoute:
		return model.TCP
	case port.AppProtocol != nil && strings.EqualFold(*port.AppProtocol, "kubernetes.io/h2c"):
		return model.HTTP2
	default:
		return model.HTTP1
	}
}

// speakable are the appProtocols that a route of a kind can speak (GEP-1911); nil
// for all of them. One for connections passes on whatever they hold.
func speakable(kind gwapi.Kind) []string {
	switch kind {
	case gwapi.KindTLSRoute:
		return nil
	case gwapi.KindGRPCRoute:
		return []string{"grpc", "http", "https", "kubernetes.io/h2c"}
	default:
		return []string{"http", "https", "kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"}
	}
}

// unspeakable says whether a route of the kind cannot speak the port's
// appProtocol.
func unspeakable(kind gwapi.Kind, port corev1.ServicePort) bool {
	known := speakable(kind)
	if known == nil || port.AppProtocol == nil || *port.AppProtocol == "" {
		return false
	}
	return !slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, *port.AppProtocol) })
}

// Speaks says whether a route of a kind can speak the port's appProtocol
// (GEP-1911), for those who ask before there is a route.
func Speaks(kind gwapi.Kind, port corev1.ServicePort) bool { return !unspeakable(kind, port) }

// requiresTLS says whether the port's appProtocol promises TLS, in any case.
func requiresTLS(port corev1.ServicePort) bool {
	if port.AppProtocol == nil {
		return false
	}
	return strings.EqualFold(*port.AppProtocol, "https") || strings.EqualFold(*port.AppProtocol, "kubernetes.io/wss")
}

// routeReason is the reason of the route's ResolvedRefs=False where a port has
// no accepted policy: the API has one for a port that promises TLS only.
func routeReason(port corev1.ServicePort) gatewayv1.RouteConditionReason {
	if requiresTLS(port) {
		return gatewayv1.RouteReasonUnsupportedProtocol
	}
	return ""
}
