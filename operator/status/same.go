package status

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// same says whether two desired statuses differ in nothing but the time at
// which they were decided. It is asked for every object after every build, so
// that it compares what is long, the conditions, without reflection.
func same(a, b report.Report) bool {
	return a.Generation == b.Generation &&
		sameConditions(a.Conditions, b.Conditions) &&
		slices.Equal(a.Features, b.Features) &&
		slices.EqualFunc(a.Listeners, b.Listeners, func(a, b gatewayv1.ListenerStatus) bool {
			matching := sameConditions(a.Conditions, b.Conditions)
			a.Conditions, b.Conditions = nil, nil
			return matching && reflect.DeepEqual(a, b)
		}) &&
		reflect.DeepEqual(a.Addresses, b.Addresses) &&
		slices.EqualFunc(a.Parents, b.Parents, func(a, b gatewayv1.RouteParentStatus) bool {
			matching := sameConditions(a.Conditions, b.Conditions)
			a.Conditions, b.Conditions = nil, nil
			return matching && reflect.DeepEqual(a, b)
		}) &&
		slices.EqualFunc(a.Ancestors, b.Ancestors, func(a, b gatewayv1.PolicyAncestorStatus) bool {
			matching := sameConditions(a.Conditions, b.Conditions)
			a.Conditions, b.Conditions = nil, nil
			return matching && reflect.DeepEqual(a, b)
		})
}

func sameConditions(a, b []metav1.Condition) bool { return slices.EqualFunc(a, b, sameCondition) }

// sameCondition compares everything but the time.
func sameCondition(a, b metav1.Condition) bool {
	a.LastTransitionTime, b.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return a == b
}

// equal says whether writing merged would change anything in live.
func equal(merged, live report.Report) bool {
	// The generation is not part of what is written.
	merged.Generation = live.Generation
	return equality.Semantic.DeepEqual(merged, live)
}

// degraded says whether a status admits that verification is weakened: a mode
// waits until it stands there.
func degraded(status report.Report) bool {
	return slices.ContainsFunc(status.Ancestors, func(ancestor gatewayv1.PolicyAncestorStatus) bool {
		return ancestor.ControllerName == gwapi.ControllerName &&
			meta.IsStatusConditionTrue(ancestor.Conditions, report.PolicySecurityDegraded)
	})
}

// newlyDegraded says whether merged admits a mode that live does not.
func newlyDegraded(key gwapi.Key, live, merged report.Report) bool {
	return slices.ContainsFunc(merged.Ancestors, func(ancestor gatewayv1.PolicyAncestorStatus) bool {
		if ancestor.ControllerName != gwapi.ControllerName {
			return false
		}
		now := meta.FindStatusCondition(ancestor.Conditions, report.PolicySecurityDegraded)
		if now == nil || now.Status != metav1.ConditionTrue {
			return false
		}
		was := meta.FindStatusCondition(report.AncestorConditions(live.Ancestors, &ancestor.AncestorRef, key.Namespace),
			report.PolicySecurityDegraded)
		return was == nil || was.Status != now.Status || was.Reason != now.Reason
	})
}
