package resolve

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// features are what Gateways of a class of ours can be asked for, in the names
// of Gateway API v1.7.0 (its package pkg/features), sorted as the API demands
// (GatewayClassStatus.supportedFeatures). It is the one table of them: the
// conformance suite runs the tests of exactly these, and what has no test there
// is tested beside it in test/conformance. A feature stands here when it is
// served, not when it is read.
var features = [...]feature{
	{name: "BackendTLSPolicy"},
	{name: "BackendTLSPolicySANValidation"},
	{name: "ClusterTrustBundle", served: func(b *builder) bool { return b.snap.TrustBundlesServed }},
	{name: "GRPCRoute"},
	{name: "GRPCRouteNamedRouteRule"},
	{name: "GRPCRouteRequestHeaderModifier"},
	{name: "Gateway"},
	{name: "GatewayAddressEmpty"},
	{name: "GatewayBackendClientCertificate"},
	{name: "GatewayFrontendClientCertificateValidation"},
	{name: "GatewayFrontendClientCertificateValidationInsecureFallback"},
	{name: "GatewayHTTPListenerIsolation"},
	{name: "GatewayInfrastructure"},
	{name: "GatewayPort8080"},
	{name: "GatewayRouteHostnameIntersectionPrecedence"},
	{name: "HTTPRoute"},
	{name: "HTTPRoute303RedirectStatusCode"},
	{name: "HTTPRoute307RedirectStatusCode"},
	{name: "HTTPRoute308RedirectStatusCode"},
	{name: "HTTPRouteBackendProtocolH2C"},
	{name: "HTTPRouteDestinationPortMatching"},
	{name: "HTTPRouteMethodMatching"},
	{name: "HTTPRouteNamedRouteRule"},
	{name: "HTTPRouteParentRefPort"},
	{name: "HTTPRoutePathRedirect"},
	{name: "HTTPRoutePortRedirect"},
	{name: "HTTPRouteQueryParamMatching"},
	{name: "HTTPRouteRequestMirror"},
	{name: "HTTPRouteRequestMultipleMirrors"},
	{name: "HTTPRouteRequestPercentageMirror"},
	{name: "HTTPRouteSchemeRedirect"},
	{name: "ReferenceGrant"},
	{name: "TLSRoute"},
	{name: "TLSRouteModeMixed"},
	{name: "TLSRouteModeTerminate"},
}

// feature is one of them.
type feature struct {
	name gatewayv1.FeatureName
	// served says whether this cluster has what the feature needs; nil: always.
	served func(b *builder) bool
}

// supportedFeatures are the features that are served here and now.
func (b *builder) supportedFeatures() []gatewayv1.SupportedFeature {
	supported := make([]gatewayv1.SupportedFeature, 0, len(features))
	for _, feature := range features {
		if feature.served == nil || feature.served(b) {
			supported = append(supported, gatewayv1.SupportedFeature{Name: feature.name})
		}
	}
	return supported
}
