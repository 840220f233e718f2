package report

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GatewayAccepted says that every listener is accepted. What is to be added,
// such as a fault of a newer version of the object, follows.
func GatewayAccepted(remarks ...string) metav1.Condition {
	return condition(gatewayv1.GatewayConditionAccepted, metav1.ConditionTrue, gatewayv1.GatewayReasonAccepted,
		join("every listener is accepted", remarks))
}

// GatewayListenersNotValid names the listeners that are not accepted. The
// Gateway is accepted as long as another one is.
func GatewayListenersNotValid(refused []string, anyAccepted bool, remarks ...string) metav1.Condition {
	status, message := metav1.ConditionFalse, "no listener is accepted"
	if anyAccepted {
		status, message = metav1.ConditionTrue, "not accepted: listener "+strings.Join(refused, ", ")
	}
	return condition(gatewayv1.GatewayConditionAccepted, status, gatewayv1.GatewayReasonListenersNotValid,
		join(message, remarks))
}

// GatewayInvalid says which field keeps the whole Gateway from being served.
func GatewayInvalid(fault string) metav1.Condition {
	return condition(gatewayv1.GatewayConditionAccepted, metav1.ConditionFalse, gatewayv1.GatewayReasonInvalid, fault)
}

// GatewayInvalidParameters says which parametersRef does not resolve.
// Listeners and routes are programmed all the same, without any insecure mode.
func GatewayInvalidParameters(fault string) metav1.Condition {
	return condition(gatewayv1.GatewayConditionAccepted, metav1.ConditionFalse,
		gatewayv1.GatewayReasonInvalidParameters, fault)
}

// GatewayUnsupportedAddress says which entry of spec.addresses has a type that
// nobody here can assign.
func GatewayUnsupportedAddress(fault string) metav1.Condition {
	return condition(gatewayv1.GatewayConditionAccepted, metav1.ConditionFalse,
		gatewayv1.GatewayReasonUnsupportedAddress, fault)
}

// GatewayResolvedRefs sums up the listeners' ResolvedRefs.
func GatewayResolvedRefs(unresolved []string) metav1.Condition {
	if len(unresolved) == 0 {
		return condition(gatewayv1.GatewayConditionResolvedRefs, metav1.ConditionTrue,
			gatewayv1.GatewayReasonResolvedRefs, "every reference of every listener resolves")
	}
	return condition(gatewayv1.GatewayConditionResolvedRefs, metav1.ConditionFalse,
		gatewayv1.GatewayReasonListenersNotResolved,
		fmt.Sprintf("references do not resolve: listener %s", strings.Join(unresolved, ", ")))
}

// GatewayUnresolvedIdentity says why the client certificate for backends cannot be
// used. Backends that a policy decides about are then not connected to, unless
// the policy names a client certificate of its own.
func GatewayUnresolvedIdentity(
	reason gatewayv1.GatewayConditionReason, fault string, unresolved []string,
) metav1.Condition {
	var remarks []string
	if len(unresolved) > 0 {
		remarks = append(remarks, "references do not resolve: listener "+strings.Join(unresolved, ", "))
	}
	return condition(gatewayv1.GatewayConditionResolvedRefs, metav1.ConditionFalse, reason, join(fault, remarks))
}

// GatewayUnseenIdentity says that nobody could look at the client certificate for
// backends.
func GatewayUnseenIdentity(fault string) metav1.Condition {
	return condition(gatewayv1.GatewayConditionResolvedRefs, metav1.ConditionUnknown, ReasonUnseen, fault)
}

// GatewayInsecureFrontend says which listeners let clients in without a verified
// certificate although they ask for one. The type and the reason are the
// standard's (GatewayConditionInsecureFrontendValidationMode).
func GatewayInsecureFrontend(listeners []string) metav1.Condition {
	return condition(gatewayv1.GatewayConditionInsecureFrontendValidationMode, metav1.ConditionTrue,
		gatewayv1.GatewayReasonConfigurationChanged, fmt.Sprintf(
			"%s: clients whose certificate is missing or not verified are let in by listener %s",
			gatewayv1.AllowInsecureFallback, strings.Join(listeners, ", ")))
}

// join puts remarks behind a message.
func join(message string, remarks []string) string {
	return List(append([]string{message}, remarks...))
}
