package report

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The reasons of BackendsVerified beside NotProbed. Those of one endpoint alone
// are verify's.
const (
	PolicyReasonVerified            PolicyReason = "Verified"
	PolicyReasonMixedCertificates   PolicyReason = "MixedCertificates"
	PolicyReasonCertificateExpiring PolicyReason = "CertificateExpiring"
)

// PolicyBackendsPass says that every endpoint that was checked passes the policy
// as written.
func PolicyBackendsPass(message string) metav1.Condition {
	return condition(PolicyBackendsVerified, metav1.ConditionTrue, PolicyReasonVerified, message)
}

// PolicyBackendsFail says what the policy as written does not accept of the
// endpoints, or soon will not.
func PolicyBackendsFail(reason PolicyReason, message string) metav1.Condition {
	return condition(PolicyBackendsVerified, metav1.ConditionFalse, reason, message)
}

// PolicyBackendsAsWritten is what was written before, unchanged: nobody here
// knows better yet.
func PolicyBackendsAsWritten(live metav1.Condition) metav1.Condition {
	return condition(PolicyBackendsVerified, live.Status, PolicyReason(live.Reason), live.Message)
}
