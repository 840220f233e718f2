package resolve

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
)

// backendProtocol is what a port speaks, inside TLS if any: HTTP/2 where its
// appProtocol is kubernetes.io/h2c (Kubernetes' standard names, GEP-1911).
func backendProtocol(port corev1.ServicePort) model.BackendProtocol {
	if port.AppProtocol != nil && strings.EqualFold(*port.AppProtocol, "kubernetes.io/h2c") {
		return model.HTTP2
	}
	return model.HTTP1
}

// offeredProtocols is the ALPN list for a port: the one protocol that the
// cluster speaks, so that the backend cannot choose another.
func offeredProtocols(port corev1.ServicePort) []string {
	return []string{string(backendProtocol(port))}
}

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
