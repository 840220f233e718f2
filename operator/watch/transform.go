package watch

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// transform drops what nobody reads from an object that was just received,
// before the cache stores it: at thousands of Services, managedFields and the
// like are most of the memory. Objects of ours (partOfLabel) keep everything
// else, because fleet compares them with what it wants.
func transform(received any) (any, error) {
	object, ok := received.(metav1.Object)
	if !ok {
		return received, nil // A tombstone, which holds an object that was here before.
	}
	object.SetManagedFields(nil)
	const applied = corev1.LastAppliedConfigAnnotation
	if annotations := object.GetAnnotations(); annotations[applied] != "" {
		annotations = maps.Clone(annotations)
		delete(annotations, applied)
		object.SetAnnotations(annotations)
	}
	if object.GetLabels()[partOfLabel] == partOf {
		return received, nil
	}
	switch object := received.(type) {
	case *metav1.PartialObjectMetadata:
		// Secrets and ConfigMaps: whether they exist, and in which version.
		object.ObjectMeta = metav1.ObjectMeta{
			Namespace: object.Namespace, Name: object.Name, UID: object.UID, ResourceVersion: object.ResourceVersion,
		}
	case *corev1.Namespace:
		object.Annotations, object.Spec, object.Status = nil, corev1.NamespaceSpec{}, corev1.NamespaceStatus{}
	case *corev1.Service:
		object.Annotations, object.Status = nil, corev1.ServiceStatus{}
	case *discoveryv1.EndpointSlice:
		trimSlice(object)
	}
	return received, nil
}

// trimSlice leaves addresses, conditions, ports and which pod an address is.
func trimSlice(slice *discoveryv1.EndpointSlice) {
	slice.Annotations, slice.OwnerReferences = nil, nil
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: slice.Labels[discoveryv1.LabelServiceName]}
	for i := range slice.Endpoints {
		endpoint := &slice.Endpoints[i]
		endpoint.Hostname, endpoint.NodeName, endpoint.Zone, endpoint.Hints = nil, nil, nil, nil
		endpoint.DeprecatedTopology = nil
		if ref := endpoint.TargetRef; ref != nil {
			endpoint.TargetRef = &corev1.ObjectReference{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
		}
	}
}
