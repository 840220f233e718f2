package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ClassAccepted says that Gateways of the class are served.
func ClassAccepted() metav1.Condition {
	return condition(gatewayv1.GatewayClassConditionStatusAccepted, metav1.ConditionTrue,
		gatewayv1.GatewayClassReasonAccepted, "Gateways of this class are served")
}

// ClassInvalidParameters says what is wrong with spec.parametersRef. Gateways
// of the class are served all the same, without any insecure mode.
func ClassInvalidParameters(fault string) metav1.Condition {
	return condition(gatewayv1.GatewayClassConditionStatusAccepted, metav1.ConditionFalse,
		gatewayv1.GatewayClassReasonInvalidParameters, fault)
}

// ClassSupportedVersion says that the Gateway API's version is the one this
// program is built for.
func ClassSupportedVersion(version string) metav1.Condition {
	return condition(gatewayv1.GatewayClassConditionStatusSupportedVersion, metav1.ConditionTrue,
		gatewayv1.GatewayClassReasonSupportedVersion, "objects are checked against Gateway API "+version)
}

// ClassInstalledVersion says that the CRDs that are installed are of the
// release that this program is built for.
func ClassInstalledVersion(version string) metav1.Condition {
	return condition(gatewayv1.GatewayClassConditionStatusSupportedVersion, metav1.ConditionTrue,
		gatewayv1.GatewayClassReasonSupportedVersion, "the CRDs of Gateway API "+version+" are installed")
}

// ClassUnsupportedVersion says which of the CRDs that are installed are of
// another release or of none (gateway-api v1.7.0, GatewayClassConditionStatus
// SupportedVersion). Gateways are served all the same.
func ClassUnsupportedVersion(version string, others []string) metav1.Condition {
	return condition(gatewayv1.GatewayClassConditionStatusSupportedVersion, metav1.ConditionFalse,
		gatewayv1.GatewayClassReasonUnsupportedVersion,
		"supported is Gateway API "+version+"; Gateways are served as far as these CRDs allow: "+List(others))
}

// ClassUnknownVersion says that the version of the CRDs was not looked at.
func ClassUnknownVersion(version string) metav1.Condition {
	return condition(gatewayv1.GatewayClassConditionStatusSupportedVersion, metav1.ConditionUnknown,
		gatewayv1.GatewayClassReasonPending, "supported is Gateway API "+version+"; the installed CRDs were not read")
}
