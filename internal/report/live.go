package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Of is the status that an object carries, everybody's entries in it: the live
// side of Merge. Ok is false for objects of a kind that nothing is reported on.
func Of(object metav1.Object) (live Report, ok bool) {
	live.Generation = object.GetGeneration()
	switch o := object.(type) {
	case *gatewayv1.GatewayClass:
		live.Conditions, live.Features = o.Status.Conditions, o.Status.SupportedFeatures
	case *gatewayv1.Gateway:
		live.Conditions, live.Listeners, live.Addresses = o.Status.Conditions, o.Status.Listeners, o.Status.Addresses
	case *gatewayv1.ListenerSet:
		live.Conditions = o.Status.Conditions
	case *gatewayv1.HTTPRoute:
		live.Parents = o.Status.Parents
	case *gatewayv1.GRPCRoute:
		live.Parents = o.Status.Parents
	case *gatewayv1.TLSRoute:
		live.Parents = o.Status.Parents
	case *gatewayv1.TCPRoute:
		live.Parents = o.Status.Parents
	case *gatewayv1.BackendTLSPolicy:
		live.Ancestors = o.Status.Ancestors
	default:
		return Report{}, false
	}
	return live, true
}

// Apply writes a merged status into an object, which must be a copy that
// nobody else reads. Fields that no report covers stay. Ok is as for Of.
func Apply(merged Report, object metav1.Object) (ok bool) {
	switch o := object.(type) {
	case *gatewayv1.GatewayClass:
		o.Status.Conditions, o.Status.SupportedFeatures = merged.Conditions, merged.Features
	case *gatewayv1.Gateway:
		o.Status.Conditions, o.Status.Listeners, o.Status.Addresses = merged.Conditions, merged.Listeners, merged.Addresses
	case *gatewayv1.ListenerSet:
		o.Status.Conditions = merged.Conditions
	case *gatewayv1.HTTPRoute:
		o.Status.Parents = merged.Parents
	case *gatewayv1.GRPCRoute:
		o.Status.Parents = merged.Parents
	case *gatewayv1.TLSRoute:
		o.Status.Parents = merged.Parents
	case *gatewayv1.TCPRoute:
		o.Status.Parents = merged.Parents
	case *gatewayv1.BackendTLSPolicy:
		o.Status.Ancestors = merged.Ancestors
	default:
		return false
	}
	return true
}
