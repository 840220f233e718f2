package gwapi

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// Group is the API group of a kind, "" for the core group and for kinds this
// project does not read.
func (k Kind) Group() string {
	switch k {
	case KindGatewayClass, KindGateway, KindListenerSet, KindHTTPRoute, KindGRPCRoute, KindTLSRoute, KindTCPRoute,
		KindReferenceGrant, KindBackendTLSPolicy:
		return gatewayv1.GroupName
	case KindGatewayParameters:
		return "backendtls.dev"
	case KindClusterTrustBundle:
		return "certificates.k8s.io"
	case KindEndpointSlice:
		return "discovery.k8s.io"
	case KindService, KindSecret, KindConfigMap, KindNamespace:
		return ""
	default:
		return ""
	}
}

// Is says whether group and kind, as a reference writes them, mean this kind.
// Absent ones mean what the reference's type infers.
func (k Kind) Is(
	group *gatewayv1.Group, kind *gatewayv1.Kind, inferredGroup string, inferredKind Kind,
) bool {
	g, n := inferredGroup, string(inferredKind)
	if group != nil {
		g = string(*group)
	}
	if kind != nil {
		n = string(*kind)
	}
	return g == k.Group() && n == string(k)
}

// GroupKind writes group and kind as references do, "core" for the core group:
// the form used in messages. Absent ones are inferred.
func GroupKind(group *gatewayv1.Group, kind *gatewayv1.Kind, inferredGroup string, inferredKind Kind) string {
	g, n := inferredGroup, string(inferredKind)
	if group != nil {
		g = string(*group)
	}
	if kind != nil {
		n = string(*kind)
	}
	if g == "" {
		g = "core"
	}
	return g + "/" + n
}
