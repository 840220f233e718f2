package watch

import (
	"maps"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// specDiffers says whether two versions of an object that counts generations
// differ in more than status and annotations, or are two objects of one name.
func specDiffers[T client.Object](was, now T) bool {
	return was.GetUID() != now.GetUID() || was.GetGeneration() != now.GetGeneration() || labelsDiffer(was, now)
}

func labelsDiffer[T client.Object](was, now T) bool {
	return !maps.Equal(was.GetLabels(), now.GetLabels())
}

// policyDiffers adds what a build reads of a policy's status: the entries of
// other controllers, which take its slots, and of ours whether and how
// SecurityDegraded is said, on which a mode waits. Everything else of ours is
// what a build wrote.
func policyDiffers(was, now *gatewayv1.BackendTLSPolicy) bool {
	return specDiffers(was, now) ||
		!equality.Semantic.DeepEqual(decisive(was.Status.Ancestors), decisive(now.Status.Ancestors))
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

// trustBundleDiffers compares ClusterTrustBundles, which count no generations.
func trustBundleDiffers(was, now *certificatesv1.ClusterTrustBundle) bool {
	return was.UID != now.UID || was.Spec != now.Spec
}

// serviceDiffers compares Services, which count no generations.
func serviceDiffers(was, now *corev1.Service) bool {
	return was.UID != now.UID || !equality.Semantic.DeepEqual(was.Spec, now.Spec)
}
