package ledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/backendtls/backendtls/operator/apitest"
)

// pod is one of the operator, unless it is changed.
func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		Namespace: "backendtls-system", Name: name, UID: types.UID("uid-" + name),
		Labels: map[string]string{"app.kubernetes.io/name": "backendtls-operator", "pod-template-hash": "x"},
		Spec:   corev1.PodSpec{ServiceAccountName: "backendtls-operator"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
	}
	if change != nil {
		change(p)
	}
	return p
}

// followed are the Pods of a cache that runs.
func followed(t *testing.T, server *apitest.Server) *Pods {
	t.Helper()
	informers, err := cache.New(server.Config(), cache.Options{Scheme: server.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := NewPods(t.Context(), PodsConfig{
		Cache: informers, Namespace: "backendtls-system", ServiceAccount: "backendtls-operator",
		Labels: map[string]string{"app.kubernetes.io/name": "backendtls-operator"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- informers.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return pods
}

func (p *Pods) await(t *testing.T, want ...Pod) {
	t.Helper()
	limit := time.After(time.Minute)
	for !slices.Equal(p.Pods(), want) {
		select {
		case <-p.Changes():
		case <-limit:
			t.Fatalf("the pods are %+v, want %+v", p.Pods(), want)
		}
	}
}

func TestPodsAreThoseOfTheOperatorThatHaveNotEnded(t *testing.T) {
	server := apitest.New(t)
	for i, change := range []func(*corev1.Pod){
		func(p *corev1.Pod) { p.Namespace = "edge" },
		func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" },
		func(p *corev1.Pod) { p.Labels = nil },
		func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
	} {
		server.Put(pod(fmt.Sprintf("no-%d", i), change))
	}
	server.Put(pod("a", nil), pod("b", func(p *corev1.Pod) { p.Status.PodIP = "" }))
	pods := followed(t, server)
	a, b := Pod{Name: "a", UID: "uid-a", IP: "10.0.0.1"}, Pod{Name: "b", UID: "uid-b"}
	pods.await(t, a, b)

	// It gets its address; it is being deleted, which is not its end.
	server.Put(pod("b", func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }))
	b.IP = "10.0.0.2"
	pods.await(t, a, b)
	server.Put(pod("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }))
	pods.await(t, b)
	server.Delete(pod("b", nil))
	pods.await(t)
	server.Put(pod("b", func(p *corev1.Pod) { p.UID = "uid-new" }))
	pods.await(t, Pod{Name: "b", UID: "uid-new", IP: "10.0.0.1"})
}
