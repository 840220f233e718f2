package report

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// RouteAccepted says that the parent serves the route.
func RouteAccepted(remarks ...string) metav1.Condition {
	return condition(gatewayv1.RouteConditionAccepted, metav1.ConditionTrue, gatewayv1.RouteReasonAccepted,
		join("the route is attached", remarks))
}

// RouteNoMatchingParent says that the parentRef selects no listener.
func RouteNoMatchingParent(fault string) metav1.Condition {
	return routeRefused(gatewayv1.RouteReasonNoMatchingParent, fault)
}

// RouteNotAllowedByListeners says why each selected listener turns the route away.
func RouteNotAllowedByListeners(fault string) metav1.Condition {
	return routeRefused(gatewayv1.RouteReasonNotAllowedByListeners, fault)
}

// RouteNoMatchingListenerHostname says which hostnames do not meet.
func RouteNoMatchingListenerHostname(fault string) metav1.Condition {
	return routeRefused(gatewayv1.RouteReasonNoMatchingListenerHostname, fault)
}

// RouteHostnameConflict says whose the route's hostnames are; the Gateway API asks
// for a refusal and has no reason for it.
func RouteHostnameConflict(faults []string) metav1.Condition {
	return routeRefused(RouteReasonHostnameConflict, List(faults))
}

// RouteReasonHostnameConflict is used with Accepted=False of a route whose
// hostnames belong to routes of another kind.
const RouteReasonHostnameConflict gatewayv1.RouteConditionReason = "HostnameConflict"

// RouteUnsupportedValue names the fields that are not supported. Requests that
// the route would take are answered with 500.
func RouteUnsupportedValue(faults []string) metav1.Condition {
	return routeRefused(gatewayv1.RouteReasonUnsupportedValue,
		List(faults)+"; requests to this route are answered with 500")
}

func routeRefused(reason gatewayv1.RouteConditionReason, fault string) metav1.Condition {
	return condition(gatewayv1.RouteConditionAccepted, metav1.ConditionFalse, reason, fault)
}

// RouteUnseen says that whether a listener admits the route depends on
// something that could not be read.
func RouteUnseen(fault string) metav1.Condition {
	return condition(gatewayv1.RouteConditionAccepted, metav1.ConditionUnknown, ReasonUnseen, fault)
}

// RoutePartiallyInvalid lists the rules that are dropped: 500 answers what
// they match, so that no wider rule takes their place.
func RoutePartiallyInvalid(faults []string) metav1.Condition {
	// The prefix is required by RouteConditionPartiallyInvalid.
	return condition(gatewayv1.RouteConditionPartiallyInvalid, metav1.ConditionTrue, gatewayv1.RouteReasonUnsupportedValue,
		fmt.Sprintf("Dropped Rule: %s; requests that such a rule matches are answered with 500", List(faults)))
}

// RouteResolvedRefs says that every backend resolves. A remark names a policy
// that makes a backend answer 500 all the same.
func RouteResolvedRefs(remarks ...string) metav1.Condition {
	return condition(gatewayv1.RouteConditionResolvedRefs, metav1.ConditionTrue, gatewayv1.RouteReasonResolvedRefs,
		join("every reference resolves", remarks))
}

// RouteUnresolvedRefs says which references do not resolve.
func RouteUnresolvedRefs(reason gatewayv1.RouteConditionReason, faults []string) metav1.Condition {
	return condition(gatewayv1.RouteConditionResolvedRefs, metav1.ConditionFalse, reason, List(faults))
}

// RouteUnseenRefs says which references could not be looked at.
func RouteUnseenRefs(faults []string) metav1.Condition {
	return condition(gatewayv1.RouteConditionResolvedRefs, metav1.ConditionUnknown, ReasonUnseen,
		List(faults))
}
