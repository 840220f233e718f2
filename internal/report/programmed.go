package report

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Programmed has the same type and reasons on a Gateway, a listener and a
// policy's ancestor: it says whether the data plane does what the object asks.
const (
	// Programmed is the type of the condition.
	Programmed = string(gatewayv1.GatewayConditionProgrammed)

	// ReasonProgrammed: every expected Envoy acknowledged it.
	ReasonProgrammed = string(gatewayv1.GatewayReasonProgrammed)
	// ReasonPending: an expected Envoy has not acknowledged it yet.
	ReasonPending = string(gatewayv1.GatewayReasonPending)
	// ReasonInvalid: it cannot be programmed as it is.
	ReasonInvalid = string(gatewayv1.GatewayReasonInvalid)
	// ReasonRejected: an Envoy refused it.
	ReasonRejected = "Rejected"
	// ReasonNoDataPlane: no Envoy of the Gateway runs.
	ReasonNoDataPlane = "NoDataPlane"
	// ReasonNotHeard: an expected Envoy has not been heard since this operator
	// started.
	ReasonNotHeard = "NotHeard"
	// ReasonNotApplied: what runs its Envoys is not as it should be.
	ReasonNotApplied = "NotApplied"
)

// ProgrammedTrue says that so many Envoys, at least one, acknowledged it.
func ProgrammedTrue(envoys int) metav1.Condition {
	who := "every Envoy"
	if envoys == 1 {
		who = "the Envoy"
	}
	return condition(Programmed, metav1.ConditionTrue, ReasonProgrammed,
		fmt.Sprintf("%s acknowledged it (%d of %d)", who, envoys, envoys))
}

// ProgrammedPending names the Envoys that have not acknowledged it.
func ProgrammedPending(waiting []string, expected int) metav1.Condition {
	return condition(Programmed, metav1.ConditionFalse, ReasonPending,
		fmt.Sprintf("waiting for %s to acknowledge it (%d of %d did)",
			strings.Join(waiting, ", "), expected-len(waiting), expected))
}

// ProgrammedRejected repeats the words of an Envoy that refused a resource.
func ProgrammedRejected(envoy, resource, words string) metav1.Condition {
	return condition(Programmed, metav1.ConditionFalse, ReasonRejected,
		fmt.Sprintf("%s refused %s: %s", envoy, resource, words))
}

// ProgrammedNoDataPlane says that there is no Envoy to ask.
func ProgrammedNoDataPlane() metav1.Condition {
	return condition(Programmed, metav1.ConditionUnknown, ReasonNoDataPlane, "no Envoy of this Gateway runs")
}

// ProgrammedNotHeard names Envoys that may have it and have not said so since
// this operator started.
func ProgrammedNotHeard(silent []string) metav1.Condition {
	return condition(Programmed, metav1.ConditionUnknown, ReasonNotHeard,
		fmt.Sprintf("%s not heard since the operator started", strings.Join(silent, ", ")))
}

// ProgrammedInvalid says why nothing can be programmed.
func ProgrammedInvalid(why string) metav1.Condition {
	return condition(Programmed, metav1.ConditionFalse, ReasonInvalid, why)
}

// ProgrammedAddressNotUsable says which address of spec.addresses cannot be
// used, and which ones can.
func ProgrammedAddressNotUsable(why string) metav1.Condition {
	return condition(Programmed, metav1.ConditionFalse, gatewayv1.GatewayReasonAddressNotUsable, why)
}

// ProgrammedAddressNotAssigned says that nobody can reach the Gateway yet.
func ProgrammedAddressNotAssigned() metav1.Condition {
	return condition(Programmed, metav1.ConditionFalse, gatewayv1.GatewayReasonAddressNotAssigned,
		"the Gateway's Service has no address yet")
}

// ProgrammedNotApplied says which object that the Gateway's Envoys need is not
// as it should be, and why.
func ProgrammedNotApplied(why string) metav1.Condition {
	return condition(Programmed, metav1.ConditionFalse, ReasonNotApplied, why)
}
