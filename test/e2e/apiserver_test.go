package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/operator/apitest"
	"github.com/backendtls/backendtls/operator/endpoints"
	"github.com/backendtls/backendtls/operator/loop"
	"github.com/backendtls/backendtls/operator/status"
	"github.com/backendtls/backendtls/operator/watch"
)

// The rooms that a cluster's operator has in place of files, against an API
// server that does what a real one does on a bad day.

// informers are a source and a sink on the API server.
func (w *world) informers(
	log *slog.Logger, paths *endpoints.Endpoints,
) (loop.Source, loop.StatusSink, []func(context.Context) error) {
	w.t.Helper()
	objects, err := watch.NewCache(w.api.Config(), log)
	if err != nil {
		w.t.Fatal(err)
	}
	source := watch.New(watch.Config{Cache: objects, Client: w.api.Client(), Log: log, Endpoints: paths})
	writer := status.New(status.Config{
		Client: w.api.Client(), Cache: objects, Leading: func() bool { return true }, Log: log, Now: time.Now,
	})
	return source, writer, []func(context.Context) error{objects.Start, source.Run, writer.Run}
}

// apply creates or updates objects as kubectl would: statuses stay.
func (w *world) apply(content string) {
	w.t.Helper()
	api := w.api.Client()
	for document := range strings.SplitSeq(content, "\n---") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			w.t.Fatal(err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetKind() != "GatewayClass" {
			object.SetNamespace("default")
		}
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			live := object.DeepCopy()
			err := api.Get(w.t.Context(), client.ObjectKeyFromObject(object), live)
			if apierrors.IsNotFound(err) {
				return api.Create(w.t.Context(), object.DeepCopy())
			}
			if err != nil {
				return err
			}
			changed := object.DeepCopy()
			changed.SetResourceVersion(live.GetResourceVersion())
			return api.Update(w.t.Context(), changed)
		})
		if err != nil {
			w.t.Fatalf("applying %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// storedStatus is the status of an object on the API server.
func storedStatus[T any](w *world, kind, name string) (stored T, generation int64, ok bool) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: kind})
	object.SetNamespace("default")
	object.SetName(name)
	if !w.api.Get(object) {
		return stored, 0, false
	}
	raw, err := json.Marshal(object.Object["status"])
	if err == nil {
		err = json.Unmarshal(raw, &stored)
	}
	if err != nil {
		w.t.Errorf("status of %s %s: %v", kind, name, err)
	}
	return stored, object.GetGeneration(), err == nil
}

// onAPIServer is worldWithMode on an API server: a policy that trusts a CA which
// the backend's certificate is not from, on a Gateway that allows every mode.
func onAPIServer(t *testing.T) (*fixtures, *world) {
	t.Helper()
	f := newFixtures(t)
	w := newWorld(t)
	w.api = apitest.New(t)
	namespace := &corev1.Namespace{Name: "default", Labels: map[string]string{"kubernetes.io/metadata.name": "default"}}
	w.api.Put(namespace)
	w.base(allowAll)
	w.write("api.yaml", f.bundles+service("api", "api.test", serve(t, f.self), "")+policy("api", f.trusted, nil))
	return f, w
}

// conflictEverySecond refuses every second status write.
func conflictEverySecond() apitest.Hook {
	var writes atomic.Int64
	return func(_ context.Context, r apitest.Request) error {
		if r.Verb != "update" || r.Subresource != "status" || writes.Add(1)%2 == 0 {
			return nil
		}
		resource := schema.GroupResource{Group: r.Group, Resource: r.Resource}
		return apierrors.NewConflict(resource, r.Name, errors.New("somebody else was faster"))
	}
}

// TestStatusTellsTheTruthOnAnUnreliableAPIServer switches between strict and
// skip under traffic while every second status write conflicts, watches are cut
// and versions expire. It makes the promises of
// TestStatusTellsTheTruthAtEveryMoment.
func TestStatusTellsTheTruthOnAnUnreliableAPIServer(t *testing.T) {
	f, w := onAPIServer(t)
	w.api.Hook(conflictEverySecond())
	w.assemble(same)
	w.eventually("503 at first", func() bool {
		return w.programmed("api") && w.get("api.test") == http.StatusServiceUnavailable
	})
	truth := w.observe("api.test")
	for i := range 6 {
		// In turn: nothing more, every watch cut, every version expired too.
		if i%3 > 0 {
			if i%3 == 2 {
				w.api.Expire()
			}
			w.api.CutWatches()
		}
		truth.loosen(func() { w.write("policy.yaml", policy("api", f.trusted, f.mode("InsecureSkipVerification"))) })
		truth.tighten(func() { w.write("policy.yaml", policy("api", f.trusted, nil)) })
	}
	truth.judge()
}

// away is how long every watch fails.
const away = 30 * time.Second

// TestTheLossOfEveryWatchChangesNothing: for 30 s nothing can be listed or
// watched. What was programmed is served on, status says nothing new, and what
// was changed meanwhile comes into force once it can be read.
func TestTheLossOfEveryWatchChangesNothing(t *testing.T) {
	f, w := onAPIServer(t)
	w.assemble(same)
	w.write("policy.yaml", policy("api", f.trusted, f.mode("InsecureSkipVerification")))
	w.eventually("200", func() bool { return w.programmed("api") && w.get("api.test") == http.StatusOK })
	blind := w.api.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb == "watch" || r.Verb == "list" {
			return errors.New("storage is (re)initializing")
		}
		return nil
	})
	w.api.Expire()
	w.api.CutWatches()
	lost := time.Now()
	tr := w.traffic("api.test")
	claims := w.watch(t.Context())
	// Nobody can know of it yet: the generation that is said must stay.
	w.write("policy.yaml", policy("api", f.trusted, nil))
	timer := time.NewTimer(away)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	back := time.Now()
	for _, a := range tr.since(lost) {
		if a.status != http.StatusOK {
			t.Errorf("an answer of %d, %s after the watches were lost", a.status, a.sent.Sub(lost))
			break
		}
	}
	blind()
	w.within(45*time.Second, "the change that was missed is in force and said", func() bool {
		return w.programmed("api") && w.policyCondition("api", "SecurityDegraded").Status == "False"
	})
	t.Logf("in force %s after watches worked again", time.Since(back))
	tr.none(t, time.Now(), http.StatusOK, "status said that verification is on again")
	tr.end()
	for _, c := range claims() {
		if c.degraded == "False" && c.to.Before(back) {
			t.Errorf("SecurityDegraded=False was said %s before anybody could know", back.Sub(c.to))
		}
	}
}
