package apitest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/operator/apitest"
)

func service(name string) *corev1.Service {
	return &corev1.Service{Namespace: "web", Name: name}
}

func gateway(name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		Namespace: "web", Name: name,
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "class"},
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// start runs a cache until the test ends.
func start(t *testing.T, server *apitest.Server, options cache.Options) cache.Cache {
	t.Helper()
	options.Scheme = server.Scheme()
	c, err := cache.New(server.Config(), options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Start(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	if !c.WaitForCacheSync(ctx) {
		t.Fatal("the cache does not start")
	}
	return c
}

func TestAnUpdateNeedsTheNewestVersion(t *testing.T) {
	server := apitest.New(t)
	c := server.Client()
	created := gateway("a")
	if err := c.Create(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	if created.Generation != 1 || created.UID == "" || created.ResourceVersion == "" || created.CreationTimestamp.IsZero() {
		t.Fatalf("not stamped: %+v", created.ObjectMeta)
	}
	if err := c.Create(t.Context(), gateway("a")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second creation: %v", err)
	}
	old := created.DeepCopy()
	created.Spec.GatewayClassName = "other"
	if err := c.Update(t.Context(), created); err != nil || created.Generation != 2 {
		t.Fatalf("update: %v, generation %d", err, created.Generation)
	}
	if err := c.Update(t.Context(), old); !apierrors.IsConflict(err) {
		t.Errorf("an update of an old version: %v", err)
	}
	if err := c.Status().Update(t.Context(), old); !apierrors.IsConflict(err) {
		t.Errorf("a status update of an old version: %v", err)
	}
	stranger := created.DeepCopy()
	stranger.UID, stranger.ResourceVersion = "x", ""
	if err := c.Update(t.Context(), stranger); !apierrors.IsConflict(err) {
		t.Errorf("an update of an object that was replaced: %v", err)
	}
}

func TestStatusAndSpecAreWrittenApart(t *testing.T) {
	server := apitest.New(t)
	c := server.Client()
	g := gateway("a")
	if err := c.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	meta.SetStatusCondition(&g.Status.Conditions, metav1.Condition{Type: "Accepted", Status: "True", Reason: "x"})
	both := g.DeepCopy()
	both.Spec.GatewayClassName = "other"
	if err := c.Status().Update(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	if both.Spec.GatewayClassName != "class" || both.Generation != 1 || len(both.Status.Conditions) != 1 {
		t.Errorf("a status update changed more, or nothing: %+v", both)
	}
	plain := both.DeepCopy()
	plain.Status = gatewayv1.GatewayStatus{}
	plain.Labels = map[string]string{"a": "b"}
	if err := c.Update(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	if len(plain.Status.Conditions) != 1 || plain.Generation != 1 {
		t.Errorf("an update changed the status or counted labels: %+v", plain)
	}
	before := len(server.Writes())
	version := plain.ResourceVersion
	if err := c.Update(t.Context(), plain); err != nil || plain.ResourceVersion != version {
		t.Errorf("an update without a change: %v, version %s after %s", err, plain.ResourceVersion, version)
	}
	if len(server.Writes()) != before+1 {
		t.Errorf("%d writes are counted", len(server.Writes()))
	}
}

func TestApplyRemovesWhatItsManagerNoLongerApplies(t *testing.T) {
	server := apitest.New(t)
	c := server.Client()
	apply := func(labels map[string]any) {
		t.Helper()
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Service",
			"metadata": map[string]any{"namespace": "web", "name": "a", "labels": labels},
		}}
		err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("us"),
			client.ForceOwnership)
		if err != nil {
			t.Fatal(err)
		}
	}
	apply(map[string]any{"one": "1", "two": "2"})
	foreign := service("a")
	server.Get(foreign)
	foreign.Labels["theirs"] = "3"
	if err := c.Update(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	apply(map[string]any{"one": "1"})
	got := service("a")
	server.Get(got)
	if len(got.Labels) != 2 || got.Labels["one"] != "1" || got.Labels["theirs"] != "3" {
		t.Errorf("labels are %v", got.Labels)
	}
	if len(got.ManagedFields) != 1 || got.ManagedFields[0].Manager != "us" {
		t.Errorf("managed fields are %v", got.ManagedFields)
	}
	version := got.ResourceVersion
	apply(map[string]any{"one": "1"})
	server.Get(got)
	if got.ResourceVersion != version {
		t.Error("applying the same again is a change")
	}
}

func TestACacheFollowsThroughCutsExpiryAndAbsence(t *testing.T) {
	server := apitest.New(t)
	server.Put(service("first"))
	c := start(t, server, cache.Options{})
	names := func() map[string]bool {
		var list corev1.ServiceList
		if err := c.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for i := range list.Items {
			found[list.Items[i].Name] = true
		}
		return found
	}
	eventually(t, "the first one is there", func() bool { return names()["first"] })
	server.Put(service("second"))
	eventually(t, "an event arrives", func() bool { return names()["second"] })
	server.CutWatches("services")
	server.Put(service("third"))
	eventually(t, "the watch goes on after a cut", func() bool { return names()["third"] })
	server.SetAway(true)
	server.Put(service("fourth"))
	server.Delete(service("first"))
	server.Expire()
	server.SetAway(false)
	eventually(t, "the cache lists again after 410", func() bool { return names()["fourth"] && !names()["first"] })
}

func TestACacheOfMetadataByLabel(t *testing.T) {
	server := apitest.New(t)
	secret := &corev1.Secret{
		Namespace: "web", Name: "s", Labels: map[string]string{"seen": "yes"},
		Data: map[string][]byte{"k": []byte("v")},
	}
	server.Put(secret)
	partial := &metav1.PartialObjectMetadata{}
	partial.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	c := start(t, server, cache.Options{ByObject: map[client.Object]cache.ByObject{
		partial: {Label: labels.SelectorFromSet(labels.Set{"seen": "yes"})},
	}})
	informer, err := c.GetInformer(t.Context(), partial)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan string, 10)
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { events <- "added" },
		UpdateFunc: func(any, any) { events <- "updated" },
		DeleteFunc: func(any) { events <- "deleted" },
	})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-events:
			if got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s never came", want)
		}
	}
	expect("added")
	secret.Data["k"] = []byte("other")
	server.Put(secret)
	expect("updated")
	secret.Labels = nil
	server.Put(secret)
	expect("deleted")
	for _, r := range server.Requests() {
		if r.Resource == "secrets" && !r.Metadata {
			t.Errorf("contents were asked for: %+v", r)
		}
	}
}

func TestAHookAnswersInPlaceOfTheServer(t *testing.T) {
	server := apitest.New(t)
	c := server.Client()
	remove := server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb == "create" && r.Resource == "services" {
			return errors.New("no room")
		}
		return nil
	})
	if err := c.Create(t.Context(), service("a")); !apierrors.IsInternalError(err) {
		t.Errorf("with the hook: %v", err)
	}
	if len(server.Writes()) != 0 {
		t.Error("a refused write counts")
	}
	remove()
	if err := c.Create(t.Context(), service("a")); err != nil || len(server.Writes()) != 1 {
		t.Errorf("without the hook: %v, %d writes", err, len(server.Writes()))
	}
}

func TestAKindIsThereWhileItIsInstalled(t *testing.T) {
	server := apitest.New(t)
	server.Uninstall("tcproutes")
	c := server.Client()
	if err := c.List(t.Context(), &gatewayv1.TCPRouteList{}); !meta.IsNoMatchError(err) {
		t.Errorf("before: %v", err)
	}
	server.Install("tcproutes", "v1.2.3")
	eventually(t, "it is served", func() bool { return c.List(t.Context(), &gatewayv1.TCPRouteList{}) == nil })
	if server.Definition("tcproutes").Annotations["gateway.networking.k8s.io/bundle-version"] != "v1.2.3" {
		t.Error("its definition lacks the version")
	}
	server.Uninstall("tcproutes")
	if err := c.List(t.Context(), &gatewayv1.TCPRouteList{}); !apierrors.IsNotFound(err) {
		t.Errorf("after: %v", err)
	}
}

func TestDeletionObeysPreconditions(t *testing.T) {
	server := apitest.New(t)
	server.Put(service("a"))
	c := server.Client()
	if err := c.Delete(t.Context(), service("a"), client.Preconditions{UID: new(service("a").UID + "x")}); !apierrors.IsConflict(err) {
		t.Errorf("of another object: %v", err)
	}
	if err := c.Delete(t.Context(), service("a")); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), service("a")); !apierrors.IsNotFound(err) {
		t.Errorf("again: %v", err)
	}
}
