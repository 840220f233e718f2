package watch_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

// TestObjectsMeanTheSameFromFilesAndFromAnAPIServer: nothing that a build reads
// is dropped on the way through the cache, and a build changes nothing in it.
func TestObjectsMeanTheSameFromFilesAndFromAnAPIServer(t *testing.T) {
	inputs, err := filepath.Glob("../../test/golden/testdata/*/in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	compared := 0
	for _, input := range inputs {
		files, err := manifest.ReadDir(input)
		if err != nil {
			t.Fatal(err)
		}
		set, problems := manifest.Parse(files)
		if len(problems) > 0 {
			continue // An API server would not have taken these.
		}
		compared++
		t.Run(filepath.Base(filepath.Dir(input)), func(t *testing.T) {
			t.Parallel()
			compare(t, set.Snapshot())
		})
	}
	if compared < 20 {
		t.Errorf("only %d of %d inputs can be compared", compared, len(inputs))
	}
}

func compare(t *testing.T, files *snapshot.Snapshot) {
	t.Helper()
	server := apitest.New(t)
	for _, object := range deepCopies(objectsOf(files)) {
		if stamp := object.GetCreationTimestamp(); stamp.IsZero() {
			// An API server stamps it; of one age, and that the oldest, as in files.
			object.SetCreationTimestamp(metav1.Unix(1, 0))
		}
		server.Put(object)
	}
	w := opened(t, server)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var snap *snapshot.Snapshot
	var got resolve.Result
	for {
		snap = w.source.Snapshot()
		read := *snap
		read.Now = now
		held := objectsOf(snap)
		before := deepCopies(held)
		got = resolve.Build(&read)
		if !reflect.DeepEqual(before, held) {
			t.Fatal("a build modified an object of the cache")
		}
		if w.source.Need(got.Refs) {
			break
		}
		w.awaitChange()
	}
	files.Site, files.Now, files.Bundles = snap.Site, now, snap.Bundles
	if want := resolve.Build(files); !reflect.DeepEqual(want, got) { // which is much faster, and stricter
		if difference := cmp.Diff(want, got, cmp.AllowUnexported()); difference != "" {
			t.Errorf("- from files, + from the API server:\n%s", difference)
		}
	}
	for _, service := range files.Services.Sorted() {
		name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
		for _, port := range service.Spec.Ports {
			want := resolve.Endpoints(port.Name, files.EndpointSlicesOf(name), snap.Site)
			if got := resolve.Endpoints(port.Name, w.slices.of(name), snap.Site); !reflect.DeepEqual(got, want) {
				t.Errorf("endpoints of %s are %v, want %v", name, got, want)
			}
		}
	}
}

// of are the slices of a Service.
func (r *recorder) of(service types.NamespacedName) []*discoveryv1.EndpointSlice {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[service]
}

// objectsOf are all objects of a snapshot, as they are.
func objectsOf(snap *snapshot.Snapshot) []client.Object {
	var all []client.Object
	all = appendAll(all, snap.GatewayClasses)
	all = appendAll(all, snap.Gateways)
	all = appendAll(all, snap.ListenerSets)
	all = appendAll(all, snap.HTTPRoutes)
	all = appendAll(all, snap.GRPCRoutes)
	all = appendAll(all, snap.TLSRoutes)
	all = appendAll(all, snap.TCPRoutes)
	all = appendAll(all, snap.TLSPolicies)
	all = appendAll(all, snap.ReferenceGrants)
	all = appendAll(all, snap.Parameters)
	all = appendAll(all, snap.Services)
	all = appendAll(all, snap.Secrets)
	all = appendAll(all, snap.ConfigMaps)
	all = appendAll(all, snap.Namespaces)
	return appendAll(all, snap.EndpointSlices)
}

func appendAll[T client.Object](all []client.Object, objects snapshot.Objects[T]) []client.Object {
	for _, object := range objects.Sorted() {
		all = append(all, object)
	}
	return all
}

func deepCopies(objects []client.Object) []client.Object {
	copies := make([]client.Object, len(objects))
	for i, object := range objects {
		copies[i] = runtime.Object(object).DeepCopyObject().(client.Object)
	}
	return copies
}

// TestAPolicyWhoseCACannotBeReadFailsClosedAndSaysSo: the golden case trusts
// what the ConfigMap default/ca holds.
func TestAPolicyWhoseCACannotBeReadFailsClosedAndSaysSo(t *testing.T) {
	t.Parallel()
	files, err := manifest.ReadDir("../../test/golden/testdata/row-ca/in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, _ := manifest.Parse(files)
	server := apitest.New(t)
	for _, object := range objectsOf(set.Snapshot()) {
		server.Put(object)
	}
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb == "get" && r.Resource == "configmaps" && r.Name == "ca" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: r.Resource}, r.Name, errors.New("ask your admin"))
		}
		return nil
	})
	w := openedFor(t, server, short)
	build := func() (resolve.Result, bool) {
		snap := *w.source.Snapshot()
		snap.Now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		result := resolve.Build(&snap)
		return result, w.source.Need(result.Refs)
	}
	result, complete := build()
	for !complete {
		w.awaitChange()
		result, complete = build()
	}
	const sentence = `configmap/default/ca is not usable: its content cannot be read: configmaps "ca" is forbidden`
	policies := 0
	for key, said := range result.Reports {
		for _, ancestor := range said.Ancestors {
			policies++
			accepted := meta.FindStatusCondition(ancestor.Conditions, "Accepted")
			if accepted.Status != metav1.ConditionFalse || !strings.Contains(accepted.Message, sentence) {
				t.Errorf("%s says %s: %s", key, accepted.Status, accepted.Message)
			}
		}
	}
	if policies == 0 {
		t.Error("there is no policy")
	}
	for key, gateway := range result.Gateways {
		if len(gateway.Backends) != 0 {
			t.Errorf("%s reaches %v", key, gateway.Backends)
		}
	}
}
