package files

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// decides says whether two statuses of an object differ in what a build reads
// of them: the entries of other controllers in a policy, which take its slots,
// and of ours whether and how SecurityDegraded is said, on which a mode waits.
func decides(key gwapi.Key, was, now report.Report) bool {
	if key.Kind != gwapi.KindBackendTLSPolicy {
		return false
	}
	return !equality.Semantic.DeepEqual(decisive(was.Ancestors), decisive(now.Ancestors))
}

// decisive reduces entries to what decides.
func decisive(ancestors []gatewayv1.PolicyAncestorStatus) []gatewayv1.PolicyAncestorStatus {
	reduced := slices.Clone(ancestors)
	for i := range reduced {
		if reduced[i].ControllerName != gwapi.ControllerName {
			continue
		}
		degraded := meta.FindStatusCondition(reduced[i].Conditions, report.PolicySecurityDegraded)
		reduced[i].Conditions = nil
		if degraded != nil {
			reduced[i].Conditions = []metav1.Condition{{Status: degraded.Status, Reason: degraded.Reason}}
		}
	}
	return reduced
}

// degraded says whether a status admits that verification is weakened. Since
// when is known nowhere else, so that such a file must survive a power cut.
func degraded(status report.Report) bool {
	return slices.ContainsFunc(status.Ancestors, func(ancestor gatewayv1.PolicyAncestorStatus) bool {
		return meta.IsStatusConditionTrue(ancestor.Conditions, report.PolicySecurityDegraded)
	})
}
