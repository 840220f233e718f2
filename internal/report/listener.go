package report

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ListenerAccepted says that the listener is valid. Its port is what Envoy
// binds, named where it is not the one in the spec.
func ListenerAccepted(port, bound int32) metav1.Condition {
	message := "the listener is valid"
	if port != bound {
		message = fmt.Sprintf("the listener is valid; port %d is served as %d, because ports below 1024 are privileged",
			port, bound)
	}
	return condition(gatewayv1.ListenerConditionAccepted, metav1.ConditionTrue, gatewayv1.ListenerReasonAccepted, message)
}

// ListenerUnsupportedProtocol says which protocols are served instead.
func ListenerUnsupportedProtocol(protocol gatewayv1.ProtocolType) metav1.Condition {
	return condition(gatewayv1.ListenerConditionAccepted, metav1.ConditionFalse,
		gatewayv1.ListenerReasonUnsupportedProtocol,
		fmt.Sprintf("protocol: %q is not served; HTTP, HTTPS and TLS are", protocol))
}

// ListenerUnsupportedValue names a field whose value is not supported.
func ListenerUnsupportedValue(fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionAccepted, metav1.ConditionFalse,
		gatewayv1.ListenerReasonUnsupportedValue, fault)
}

// ListenerNoValidCACertificate says why clients cannot be verified as the Gateway
// asks: the listener is then not served.
func ListenerNoValidCACertificate(fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionAccepted, metav1.ConditionFalse,
		gatewayv1.ListenerReasonNoValidCACertificate, fault)
}

// ListenerPortUnavailable says who has the port.
func ListenerPortUnavailable(fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionAccepted, metav1.ConditionFalse,
		gatewayv1.ListenerReasonPortUnavailable, fault)
}

// ListenerConflictAccepted is Accepted of a listener that conflicts.
func ListenerConflictAccepted(reason gatewayv1.ListenerConditionReason, fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionAccepted, metav1.ConditionFalse, reason, fault)
}

// ListenerConflicted is Conflicted=True: HostnameConflict or ProtocolConflict.
func ListenerConflicted(reason gatewayv1.ListenerConditionReason, fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionConflicted, metav1.ConditionTrue, reason, fault)
}

// ListenerNoConflicts is Conflicted=False.
func ListenerNoConflicts() metav1.Condition {
	return condition(gatewayv1.ListenerConditionConflicted, metav1.ConditionFalse, gatewayv1.ListenerReasonNoConflicts,
		"no other listener claims its port and hostname")
}

// ListenerOverlapping names the HTTPS listeners on the same port whose
// hostnames overlap, which matters to clients that coalesce connections.
func ListenerOverlapping(others []string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionOverlappingTLSConfig, metav1.ConditionTrue,
		gatewayv1.ListenerReasonOverlappingHostnames,
		fmt.Sprintf("the hostname overlaps that of listener %s on the same port", strings.Join(others, ", ")))
}

// ListenerResolvedRefs says that every reference resolves.
func ListenerResolvedRefs() metav1.Condition {
	return condition(gatewayv1.ListenerConditionResolvedRefs, metav1.ConditionTrue,
		gatewayv1.ListenerReasonResolvedRefs, "every reference resolves")
}

// ListenerUnresolvedRefs says which references do not resolve:
// InvalidCertificateRef, InvalidCACertificateRef, InvalidCACertificateKind,
// InvalidRouteKinds or RefNotPermitted.
func ListenerUnresolvedRefs(reason gatewayv1.ListenerConditionReason, fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionResolvedRefs, metav1.ConditionFalse, reason, fault)
}

// ListenerUnseenRefs says which references could not be looked at.
func ListenerUnseenRefs(fault string) metav1.Condition {
	return condition(gatewayv1.ListenerConditionResolvedRefs, metav1.ConditionUnknown, ReasonUnseen, fault)
}

// ReasonUnseen is used with status Unknown where a statement depends on what
// could not be read for lack of rights.
const ReasonUnseen = "Unseen"

// ListenerSetNotServed is Accepted=False of a ListenerSet.
func ListenerSetNotServed(message string) metav1.Condition {
	return condition(gatewayv1.ListenerSetConditionAccepted, metav1.ConditionFalse,
		gatewayv1.ListenerSetReasonNotAllowed, message)
}
