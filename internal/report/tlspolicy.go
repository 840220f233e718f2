package report

import (
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// The condition types of a BackendTLSPolicy's ancestor entry besides
// Programmed. All five are always present.
const (
	PolicyAccepted         = string(gatewayv1.PolicyConditionAccepted)
	PolicyResolvedRefs     = string(gatewayv1.BackendTLSPolicyConditionResolvedRefs)
	PolicySecurityDegraded = "SecurityDegraded"
	PolicyBackendsVerified = "BackendsVerified"
)

// PolicyReason is a reason of these conditions.
type PolicyReason string

// The reasons of Accepted.
const (
	PolicyReasonAccepted             PolicyReason = "Accepted"
	PolicyReasonInvalid              PolicyReason = "Invalid"
	PolicyReasonConflicted           PolicyReason = "Conflicted"
	PolicyReasonTargetNotFound       PolicyReason = "TargetNotFound"
	PolicyReasonNoValidCACertificate PolicyReason = "NoValidCACertificate"
	// PolicyReasonModeNotAllowed: the Gateway does not allow the insecure mode
	// that the policy asks for; on that Gateway the policy answers 500.
	PolicyReasonModeNotAllowed PolicyReason = "InsecureVerificationNotAllowed"
	// PolicyReasonUnseen is Unknown's: something that decides could not be read.
	PolicyReasonUnseen PolicyReason = "Unseen"
)

// The reasons of ResolvedRefs.
const (
	PolicyReasonResolvedRefs                 PolicyReason = "ResolvedRefs"
	PolicyReasonInvalidCACertificateRef      PolicyReason = "InvalidCACertificateRef"
	PolicyReasonInvalidKind                  PolicyReason = "InvalidKind"
	PolicyReasonInvalidTrustedCertificateRef PolicyReason = "InvalidTrustedCertificateRef"
	PolicyReasonInvalidCRLRef                PolicyReason = "InvalidCRLRef"
	PolicyReasonInvalidClientCertificateRef  PolicyReason = "InvalidClientCertificateRef"
	// PolicyReasonRefNotPermitted: the Gateway may not have the Secret that the
	// policy names, because no ReferenceGrant says so.
	PolicyReasonRefNotPermitted PolicyReason = "RefNotPermitted"
	// PolicyReasonCRLExpired: a revocation list is past its nextUpdate, so that
	// Envoy refuses what it would be asked about. The policy stays in force.
	PolicyReasonCRLExpired PolicyReason = "CRLExpired"
)

// The reasons of Programmed, beyond those that every Programmed has.
const (
	PolicyReasonProgrammed  PolicyReason = PolicyReason(ReasonProgrammed)
	PolicyReasonPending     PolicyReason = PolicyReason(ReasonPending)
	PolicyReasonRejected    PolicyReason = PolicyReason(ReasonRejected)
	PolicyReasonNoDataPlane PolicyReason = PolicyReason(ReasonNoDataPlane)
	PolicyReasonNotHeard    PolicyReason = PolicyReason(ReasonNotHeard)
	// PolicyReasonNotInForce: other policies decide every port that the Gateway
	// reaches, so there is nothing to program.
	PolicyReasonNotInForce PolicyReason = "NotInForce"
)

// The reasons of SecurityDegraded=True, one per insecure mode.
const (
	PolicyReasonVerificationSkipped        PolicyReason = "VerificationSkipped"
	PolicyReasonSANVerificationSkipped     PolicyReason = "SANVerificationSkipped"
	PolicyReasonExpiredCertificatesAllowed PolicyReason = "ExpiredCertificatesAllowed"
)

// The reasons of SecurityDegraded=False.
const (
	PolicyReasonStrict         PolicyReason = "Strict"
	PolicyReasonPinned         PolicyReason = "Pinned"
	PolicyReasonModeNotStarted PolicyReason = "ModeNotStarted"
	PolicyReasonModeExpired    PolicyReason = "ModeExpired"
	PolicyReasonFailClosed     PolicyReason = "FailClosed"
)

// PolicyReasonNotProbed is BackendsVerified's where nobody looks at the live
// certificates.
const PolicyReasonNotProbed PolicyReason = "NotProbed"

// maxMessage keeps one message readable and far below the API's 32768 bytes.
const maxMessage = 4096

// shorten cuts a message at the end of a character, and shows that it did.
func shorten(message string) string { return shortenTo(message, maxMessage) }

func shortenTo(message string, most int) string {
	if len(message) <= most {
		return message
	}
	const mark = " ..."
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + mark
}

// PolicyIsAccepted says that the policy is in force on the Gateway; the message
// says how, and what in it has no effect.
func PolicyIsAccepted(message string) metav1.Condition {
	return condition(PolicyAccepted, metav1.ConditionTrue, PolicyReasonAccepted, message)
}

// PolicyNotAccepted says why the policy is not in force. For every reason but
// Conflicted its ports answer 500.
func PolicyNotAccepted(reason PolicyReason, message string) metav1.Condition {
	return condition(PolicyAccepted, denied(reason), reason, message)
}

// PolicyHasResolvedRefs says that every certificate that the policy names was
// read.
func PolicyHasResolvedRefs(message string) metav1.Condition {
	return condition(PolicyResolvedRefs, metav1.ConditionTrue, PolicyReasonResolvedRefs, message)
}

// PolicyUnresolvedRefs says which reference of the policy cannot be used, and
// why.
func PolicyUnresolvedRefs(reason PolicyReason, message string) metav1.Condition {
	return condition(PolicyResolvedRefs, denied(reason), reason, message)
}

// PolicyProgrammed says that every Envoy of the Gateway acknowledged what the
// policy decides.
func PolicyProgrammed(message string) metav1.Condition {
	return condition(Programmed, metav1.ConditionTrue, PolicyReasonProgrammed, message)
}

// PolicyNotProgrammed says which Envoy has not acknowledged it, or that nobody
// knows.
func PolicyNotProgrammed(reason PolicyReason, message string) metav1.Condition {
	return condition(Programmed, denied(reason), reason, message)
}

// PolicyDegraded says that certificates may be accepted that the policy as
// written refuses. The reason names the mode.
func PolicyDegraded(reason PolicyReason, message string) metav1.Condition {
	return condition(PolicySecurityDegraded, metav1.ConditionTrue, reason, message)
}

// PolicyNotDegraded says that no Envoy accepts what the policy as written
// refuses.
func PolicyNotDegraded(reason PolicyReason, message string) metav1.Condition {
	return condition(PolicySecurityDegraded, metav1.ConditionFalse, reason, message)
}

// PolicyNotProbed says that nobody looked at the live certificates.
func PolicyNotProbed(message string) metav1.Condition {
	return condition(PolicyBackendsVerified, metav1.ConditionUnknown, PolicyReasonNotProbed, message)
}

// denied is False, but Unknown for the reasons that say that nobody knows.
func denied(reason PolicyReason) metav1.ConditionStatus {
	switch reason {
	case PolicyReasonUnseen, PolicyReasonNoDataPlane, PolicyReasonNotHeard:
		return metav1.ConditionUnknown
	default:
		return metav1.ConditionFalse
	}
}

// PolicyAncestor is an entry of ours in a policy's status. Its reference
// leaves nothing to infer.
func PolicyAncestor(gateway gwapi.Key, conditions ...metav1.Condition) gatewayv1.PolicyAncestorStatus {
	return gatewayv1.PolicyAncestorStatus{
		AncestorRef: gatewayv1.ParentReference{
			Group:     new(gatewayv1.Group(gatewayv1.GroupName)),
			Kind:      new(gatewayv1.Kind(gwapi.KindGateway)),
			Namespace: new(gatewayv1.Namespace(gateway.Namespace)),
			Name:      gatewayv1.ObjectName(gateway.Name),
		},
		ControllerName: gwapi.ControllerName,
		Conditions:     conditions,
	}
}

// The conditions of a Gateway that BackendTLSPolicies give rise to. They are
// present only while they are True.
const (
	// GatewayInsecureBackendValidation: some policy on the Gateway is degraded.
	GatewayInsecureBackendValidation = gwapi.Prefix + "InsecureBackendValidationMode"
	// GatewayPolicyAncestorsFull: some policy has no room in its status for the
	// Gateway and therefore answers 500 on it.
	GatewayPolicyAncestorsFull = gwapi.Prefix + "PolicyAncestorsFull"
)

// GatewayHasInsecureBackends says on a Gateway which policies are degraded.
func GatewayHasInsecureBackends(message string) metav1.Condition {
	return condition(GatewayInsecureBackendValidation, metav1.ConditionTrue, "SecurityDegraded", message)
}

// GatewayLacksPolicyAncestors says on a Gateway which policies have no free
// slot in their status.
func GatewayLacksPolicyAncestors(message string) metav1.Condition {
	return condition(GatewayPolicyAncestorsFull, metav1.ConditionTrue, "NoFreeAncestorSlot", message)
}
