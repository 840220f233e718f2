package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Set is the desired status of every object this controller reports on; it
// holds this controller's entries only.
type Set map[gwapi.Key]Report

// Report is the desired status of one object. Which fields are used depends
// on the kind. LastTransitionTime in conditions is the time of the build;
// Merge keeps the live one where the status did not change.
type Report struct {
	// Generation is the object's, which every condition carries as
	// observedGeneration.
	Generation int64
	// Conditions of a GatewayClass, Gateway or ListenerSet.
	Conditions []metav1.Condition
	// Listeners and Addresses of a Gateway.
	Listeners []gatewayv1.ListenerStatus
	Addresses []gatewayv1.GatewayStatusAddress
	// Parents of a route.
	Parents []gatewayv1.RouteParentStatus
	// Ancestors of a BackendTLSPolicy.
	Ancestors []gatewayv1.PolicyAncestorStatus
}
