package fleet

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The kinds of a fleet's objects: no other kind is ever written.
var (
	serviceAccountKind   = corev1.SchemeGroupVersion.WithKind("ServiceAccount")
	configMapKind        = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	serviceKind          = corev1.SchemeGroupVersion.WithKind("Service")
	deploymentKind       = appsv1.SchemeGroupVersion.WithKind("Deployment")
	networkPolicyKind    = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	disruptionBudgetKind = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	replicaSetKind       = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
)

// Selection says what a Fleet's Cache must have, and by which labels it may
// leave out the rest: of Deployments, Pods and Services the whole, of the other
// kinds the metadata. The selector is nil where others read the kind too.
func Selection() map[client.Object]k8slabels.Selector {
	ours := k8slabels.SelectorFromSet(k8slabels.Set{LabelName: EnvoyName, LabelManagedBy: OperatorName})
	return map[client.Object]k8slabels.Selector{
		&corev1.Pod{}:                  ours,
		&appsv1.Deployment{}:           ours,
		&corev1.Service{}:              nil,
		metadata(configMapKind):        nil,
		metadata(serviceAccountKind):   ours,
		metadata(networkPolicyKind):    ours,
		metadata(disruptionBudgetKind): ours,
	}
}

func metadata(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}
