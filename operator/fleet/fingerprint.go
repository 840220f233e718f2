package fleet

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/model"
)

// fingerprint changes whenever somebody changed what an object asks for, and
// not when the cluster wrote its status. Of most kinds that is what generation
// counts; a Service has none, and a ConfigMap and a ServiceAccount have no
// status.
func fingerprint(found client.Object) string {
	content := any(found.GetGeneration())
	switch typed := found.(type) {
	case *corev1.Service:
		content = typed.Spec
	case *metav1.PartialObjectMetadata:
		if kind := typed.GroupVersionKind(); kind == configMapKind || kind == serviceAccountKind {
			content = typed.ResourceVersion
		}
	}
	annotations := map[string]string{}
	maps.Copy(annotations, found.GetAnnotations())
	delete(annotations, revisionAnnotation)
	return model.Digest(content, found.GetUID(), found.GetLabels(), annotations, found.GetOwnerReferences())
}

// revisionAnnotation is where the Deployment controller counts.
const revisionAnnotation = "deployment.kubernetes.io/revision"
