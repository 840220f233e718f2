package fleet

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/apitest"
)

var (
	webKey  = gwapi.KeyOf(gwapi.KindGateway, "shop", "web")
	webName = types.NamespacedName{Namespace: "shop", Name: "backendtls-web"}
)

// harness is a running Fleet and the API server that it works on.
type harness struct {
	t         *testing.T
	server    *apitest.Server
	fleet     *Fleet
	leading   atomic.Bool
	authority atomic.Pointer[[]byte]
	log       words
}

// words collects a log.
type words struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// newHarness starts a Fleet that leads.
func newHarness(t *testing.T, server *apitest.Server) *harness {
	t.Helper()
	h := &harness{t: t, server: server}
	h.leading.Store(true)
	h.authority.Store(new([]byte(certificate)))
	objects, err := cache.New(server.Config(), cache.Options{Scheme: server.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	h.fleet = New(Config{
		Client: server.Client(), Cache: objects,
		Authority: func() []byte { return *h.authority.Load() }, Leading: h.leading.Load,
		Log:               slog.New(slog.NewTextHandler(&h.log, nil)),
		OperatorNamespace: "backendtls-system", Backoff: 10 * time.Millisecond,
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := objects.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		if err := h.fleet.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		if t.Failed() {
			t.Log(h.log.String())
		}
	})
	<-h.fleet.Ready()
	return h
}

func (h *harness) put(gateways ...model.Gateway) {
	all := map[gwapi.Key]model.Gateway{}
	for _, gateway := range gateways {
		all[gateway.Key] = gateway
	}
	h.fleet.Put(all)
}

// eventually fails the test unless what is awaited comes true.
func (h *harness) eventually(what string, condition func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			h.t.Fatalf("still not: %s", what)
		}
		<-tick.C
	}
}

// quiet waits until no request has come for some time.
func (h *harness) quiet() {
	h.t.Helper()
	last, since := -1, time.Now()
	h.eventually("the API server is left alone", func() bool {
		if now := len(h.server.Requests()); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*settling
	})
}

// writes are what was written since the last Forget: kind and name.
func (h *harness) writes() []string {
	var list []string
	for _, request := range h.server.Writes() {
		if !request.Refused {
			list = append(list, request.Resource+"/"+request.Namespace+"/"+request.Name)
		}
	}
	return list
}

func (h *harness) deployment() *appsv1.Deployment {
	h.t.Helper()
	found := &appsv1.Deployment{Namespace: webName.Namespace, Name: webName.Name}
	if !h.server.Get(found) {
		return nil
	}
	return found
}

// applied waits until the whole fleet of web is there.
func (h *harness) applied() {
	h.t.Helper()
	h.eventually("the fleet is applied", func() bool { return h.deployment() != nil })
	h.quiet()
}

// replicaSet makes what the Deployment controller makes of web's Deployment.
func (h *harness) replicaSet() *appsv1.ReplicaSet {
	h.t.Helper()
	deployment := h.deployment()
	set := &appsv1.ReplicaSet{
		Namespace: webName.Namespace, Name: webName.Name + "-1", Labels: deployment.Spec.Template.Labels, UID: "set-uid",
		OwnerReferences: []metav1.OwnerReference{controlledBy(deployment.UID, "apps/v1", "Deployment", deployment.Name)},
	}
	h.server.Put(set)
	return set
}

func controlledBy(uid types.UID, version, kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: version, Kind: kind, Name: name, UID: uid, Controller: new(true)}
}

// envoyPod is a pod of the ReplicaSet, which has not started.
func envoyPod(set *appsv1.ReplicaSet, name string) *corev1.Pod {
	return &corev1.Pod{
		Namespace: set.Namespace, Name: name, UID: types.UID("uid-of-" + name), Labels: set.Labels,
		OwnerReferences: []metav1.OwnerReference{controlledBy(set.UID, "apps/v1", "ReplicaSet", set.Name)},
		Spec:            corev1.PodSpec{ServiceAccountName: webName.Name},
		Status:          corev1.PodStatus{Phase: corev1.PodPending},
	}
}

func started(p *corev1.Pod) *corev1.Pod {
	p = p.DeepCopy()
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: EnvoyContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	return p
}

// expect waits until these are web's Envoys.
func (h *harness) expect(names ...string) {
	h.t.Helper()
	h.eventually("the Envoys are "+strings.Join(names, ", "), func() bool {
		return slices.Equal(h.fleet.Envoys()[webKey], names)
	})
}

// change edits an object as somebody else does.
func change[T client.Object](h *harness, object T, edit func(T)) {
	h.t.Helper()
	if !h.server.Get(object) {
		h.t.Fatalf("%T %s is not there", object, object.GetName())
	}
	edit(object)
	h.server.Put(object)
}

func named(object client.Object) client.Object {
	object.SetNamespace(webName.Namespace)
	object.SetName(webName.Name)
	return object
}
