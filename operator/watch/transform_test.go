package watch_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/backendtls/backendtls/operator/watch"
)

func stamped() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "web", Name: "o", UID: "u", ResourceVersion: "7",
		Labels:        map[string]string{"a": "b"},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "note": "x"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
	}
}

func TestWhatNobodyReadsIsNotKept(t *testing.T) {
	metadata := &metav1.PartialObjectMetadata{ObjectMeta: stamped()}
	pass(t, metadata)
	if metadata.Labels != nil || metadata.Annotations != nil || metadata.ManagedFields != nil {
		t.Errorf("of a Secret is kept %+v", metadata)
	}
	if metadata.Name != "o" || metadata.Namespace != "web" || metadata.ResourceVersion != "7" || metadata.UID != "u" {
		t.Errorf("of a Secret is lost what is read: %+v", metadata)
	}
	service := service("o", 1)
	service.ObjectMeta = stamped()
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	pass(t, service)
	if service.Annotations != nil || service.Status.LoadBalancer.Ingress != nil || service.Labels["a"] != "b" {
		t.Errorf("of a Service is kept %+v", service)
	}
	pod := &corev1.Pod{ObjectMeta: stamped()}
	pass(t, pod)
	if len(pod.Annotations) != 1 || pod.ManagedFields != nil {
		t.Errorf("of a pod is kept %+v", pod)
	}
}

func TestObjectsOfOursAreKeptWhole(t *testing.T) {
	service := service("o", 1)
	service.Labels = map[string]string{"app.kubernetes.io/part-of": "backendtls"}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	pass(t, service)
	if len(service.Annotations) != 1 || len(service.Status.LoadBalancer.Ingress) != 1 {
		t.Errorf("of our Service is kept %+v", service)
	}
}

func TestATombstonePasses(t *testing.T) {
	tombstone := toolscache.DeletedFinalStateUnknown{Key: "web/o"}
	if got, err := watch.Transform(tombstone); err != nil || got != tombstone {
		t.Errorf("got %v, %v", got, err)
	}
}

func pass(t *testing.T, object any) {
	t.Helper()
	if got, err := watch.Transform(object); err != nil || got != object {
		t.Errorf("got %v, %v", got, err)
	}
}
