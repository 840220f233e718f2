package manifest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// defaultNamespace writes the label that every server writes, over any other
// value of it.
func defaultNamespace(object metav1.Object) field.ErrorList {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = object.GetName()
	object.SetLabels(labels)
	return nil
}

// bareNamespace is the Namespace that no file gives but an object is in.
func bareNamespace(name string) *corev1.Namespace {
	namespace := &corev1.Namespace{}
	namespace.APIVersion, namespace.Kind = "v1", string(gwapi.KindNamespace)
	namespace.Name = name
	namespace.UID = uid(gwapi.KeyOf(gwapi.KindNamespace, "", name))
	namespace.Labels = map[string]string{corev1.LabelMetadataName: name}
	return namespace
}
