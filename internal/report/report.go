package report

import (
	"time"

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
	// Features of a GatewayClass, by name.
	Features []gatewayv1.SupportedFeature
	// Listeners and Addresses of a Gateway.
	Listeners []gatewayv1.ListenerStatus
	Addresses []gatewayv1.GatewayStatusAddress
	// Parents of a route.
	Parents []gatewayv1.RouteParentStatus
	// Ancestors of a BackendTLSPolicy.
	Ancestors []gatewayv1.PolicyAncestorStatus
}

// Stamp writes the generation and the time into every condition, and shortens
// messages that nobody would read.
func (s Set) Stamp(now time.Time) {
	for _, report := range s {
		report.stamp(metav1.NewTime(now))
	}
}

func (r Report) stamp(now metav1.Time) {
	stampConditions(r.Conditions, r.Generation, now)
	for i := range r.Listeners {
		stampConditions(r.Listeners[i].Conditions, r.Generation, now)
	}
	for i := range r.Parents {
		stampConditions(r.Parents[i].Conditions, r.Generation, now)
	}
	for i := range r.Ancestors {
		stampConditions(r.Ancestors[i].Conditions, r.Generation, now)
	}
}

func stampConditions(conditions []metav1.Condition, generation int64, now metav1.Time) {
	for i := range conditions {
		conditions[i].ObservedGeneration = generation
		conditions[i].LastTransitionTime = now
		conditions[i].Message = shorten(conditions[i].Message)
	}
}

// condition is a condition whose generation and time Stamp fills in.
func condition[T, R ~string](kind T, status metav1.ConditionStatus, reason R, message string) metav1.Condition {
	return metav1.Condition{Type: string(kind), Status: status, Reason: string(reason), Message: message}
}
