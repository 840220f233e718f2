package watch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

// read are the names of the objects whose contents were asked for.
func read(server *apitest.Server) []string {
	var names []string
	for _, r := range server.Requests() {
		if (r.Resource == "secrets" || r.Resource == "configmaps") && !r.Metadata {
			names = append(names, r.Verb+" "+r.Resource+"/"+r.Namespace+"/"+r.Name)
		}
	}
	return names
}

func TestContentsAreReadByNameWhenTheyAreNamed(t *testing.T) {
	server := apitest.New(t)
	server.Put(secret("named", "a"), secret("other", "b"), configMap("named", "c"), configMap("other", "d"))
	roots := &corev1.ConfigMap{
		Namespace: "backendtls-system", Name: "system-roots", Data: map[string]string{"ca.crt": "r"},
	}
	server.Put(roots)
	w := opened(t, server)
	if names := read(server); len(names) != 0 {
		t.Errorf("before anything is named, %v", names)
	}
	rootsKey := gwapi.KeyOf(gwapi.KindConfigMap, roots.Namespace, roots.Name)
	named := []gwapi.Key{secretKey("named"), configMapKey("named"), rootsKey, secretKey("missing")}
	if w.need(named...) {
		t.Error("contents that were not read are said to be there")
	}
	w.awaitChange()
	w.needed(named...)
	snap := w.source.Snapshot()
	if certificate(snap, "named") != "a" || snap.Secrets.Len() != 1 || snap.ConfigMaps.Len() != 2 {
		t.Errorf("%d Secrets, %d ConfigMaps, %q", snap.Secrets.Len(), snap.ConfigMaps.Len(), certificate(snap, "named"))
	}
	if got, _ := snap.ConfigMaps.Get(types.NamespacedName{Namespace: "web", Name: "named"}); got.Data["ca.crt"] != "c" {
		t.Errorf("the ConfigMap is %v", got)
	}
	names := read(server)
	slices.Sort(names)
	want := []string{
		"get configmaps/backendtls-system/system-roots", "get configmaps/web/named", "get secrets/web/named",
	}
	if !slices.Equal(names, want) {
		t.Errorf("asked for %v, want %v", names, want)
	}
	w.needed(named...)
	w.noChange()
	if again := read(server); len(again) != len(want) {
		t.Errorf("read again without a reason: %v", again)
	}
}

func TestContentsThatAreNoLongerNamedAreForgotten(t *testing.T) {
	server := apitest.New(t)
	server.Put(secret("s", "a"))
	w := opened(t, server)
	w.needed(secretKey("s"))
	if !w.need() {
		t.Error("nothing is needed, and not there")
	}
	if w.source.Snapshot().Secrets.Len() != 0 {
		t.Error("it is kept")
	}
	server.Put(secret("s", "b"))
	w.noChange()
	w.needed(secretKey("s"))
	if got := certificate(w.source.Snapshot(), "s"); got != "b" {
		t.Errorf("it is %q", got)
	}
}

func TestARotatedSecretIsReadAnewAndTheOldOneStaysUntilThen(t *testing.T) {
	server := apitest.New(t)
	server.Put(secret("s", "old"))
	w := opened(t, server)
	w.needed(secretKey("s"))
	hold := make(chan struct{})
	var asked atomic.Bool
	server.Hook(func(ctx context.Context, r apitest.Request) error {
		if r.Verb == "get" && r.Resource == "secrets" {
			asked.Store(true)
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return nil
	})
	server.Put(secret("s", "new"))
	eventually(t, "it is asked for", asked.Load)
	if got := certificate(w.source.Snapshot(), "s"); got != "old" {
		t.Errorf("meanwhile it is %q", got)
	}
	if w.need(secretKey("s")) {
		t.Error("a version that was not read is said to be there")
	}
	close(hold)
	w.awaitChange()
	w.until("the new one", func(snap *snapshot.Snapshot) bool { return certificate(snap, "s") == "new" })
	w.needed(secretKey("s"))
}

func TestADeletionCountsAtOnceAndANewObjectIsRead(t *testing.T) {
	server := apitest.New(t)
	server.Put(secret("s", "a"))
	w := opened(t, server)
	w.needed(secretKey("s"))
	server.Delete(secret("s", ""))
	w.awaitChange()
	if w.source.Snapshot().Secrets.Len() != 0 {
		t.Error("it is still there")
	}
	if !w.need(secretKey("s")) {
		t.Error("what does not exist is waited for")
	}
	server.Put(secret("s", "b"))
	w.awaitChange()
	w.needed(secretKey("s"))
	if got := certificate(w.source.Snapshot(), "s"); got != "b" {
		t.Errorf("it is %q", got)
	}
}

func TestAContentThatCannotBeReadIsAFaultThatHoldsNobodyUp(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "bad", errors.New("ask your admin"))
	for sentence, c := range map[string]struct {
		answer func(ctx context.Context) error
		fault  string
	}{
		"the API server refuses": {
			func(context.Context) error { return forbidden },
			`its content cannot be read: secrets "bad" is forbidden: ask your admin`,
		},
		"the API server does not answer": {
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			"its content cannot be read: the API server has not answered within 2s",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			server := apitest.New(t)
			server.Put(secret("bad", "x"), secret("good", "y"))
			mend := server.Hook(func(ctx context.Context, r apitest.Request) error {
				if r.Verb == "get" && r.Name == "bad" {
					return c.answer(ctx)
				}
				return nil
			})
			w := openedFor(t, server, short)
			began := time.Now()
			w.needed(secretKey("good"), secretKey("bad"))
			if took := time.Since(began); took < short {
				t.Errorf("given up after %s", took)
			}
			snap := w.source.Snapshot()
			if certificate(snap, "good") != "y" {
				t.Error("the other one was not read")
			}
			if len(snap.Faults) != 1 || snap.Faults[secretKey("bad")] != c.fault {
				t.Errorf("faults are %v", snap.Faults)
			}
			w.noChange()
			mend()
			w.awaitChange()
			w.until("it is read in the end", func(snap *snapshot.Snapshot) bool {
				return certificate(snap, "bad") == "x" && len(snap.Faults) == 0
			})
			if n := len(w.log.lines("content cannot be read")); n != 1 {
				t.Errorf("it was said %d times", n)
			}
		})
	}
}

func TestAnUnreadableNewVersionDoesNotKeepTheOldOneInForce(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(secret("s", "old"))
	w := openedFor(t, server, short)
	w.needed(secretKey("s"))
	mend := server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb == "get" && r.Resource == "secrets" {
			return errors.New("no")
		}
		return nil
	})
	server.Put(secret("s", "new"))
	w.until("it is a fault", func(snap *snapshot.Snapshot) bool { return snap.Faults[secretKey("s")] != "" })
	mend()
	w.until("it is mended", func(snap *snapshot.Snapshot) bool {
		return snap.Faults[secretKey("s")] == "" && certificate(snap, "s") == "new"
	})
}

func TestAFaultEndsWithTheObject(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(secret("s", "x"))
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb == "get" && r.Resource == "secrets" {
			return errors.New("no")
		}
		return nil
	})
	w := openedFor(t, server, short)
	w.needed(secretKey("s"))
	server.Delete(secret("s", ""))
	w.until("there is nothing to say", func(snap *snapshot.Snapshot) bool { return len(snap.Faults) == 0 })
}

// TestWhoeverRenamesAllTheTimeHoldsNobodyUpForever: each build names something
// that was not read yet.
func TestWhoeverRenamesAllTheTimeHoldsNobodyUpForever(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(secret("a", "x"), secret("b", "x"))
	w := openedFor(t, server, short)
	names := []string{"a", "b"}
	eventually(t, "it is published all the same", func() bool {
		slices.Reverse(names)
		return w.need(secretKey(names[0]))
	})
}

func TestWhatIsReadWhileABuildRunsIsNotSaidToHaveBeenThere(t *testing.T) {
	server := apitest.New(t)
	server.Put(secret("s", "x"))
	w := opened(t, server)
	w.source.Snapshot()
	refs := map[gwapi.Key][]gwapi.Key{secretKey("s"): {gatewayKey}}
	w.source.Need(refs) // orders it; no other Snapshot is taken
	w.awaitChange()
	if w.source.Need(refs) {
		t.Error("the build did not have it")
	}
	w.awaitChange()
	w.source.Snapshot()
	if !w.source.Need(refs) {
		t.Error("this one had it")
	}
}

func TestManyContentsAreReadInTime(t *testing.T) {
	server := apitest.New(t)
	var keys []gwapi.Key
	for i := range 500 {
		name := "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		server.Put(secret(name, name))
		keys = append(keys, secretKey(name))
	}
	w := opened(t, server)
	w.needed(keys...)
	if snap := w.source.Snapshot(); len(snap.Faults) != 0 || snap.Secrets.Len() != 500 {
		t.Errorf("%d are there, faults are %v", snap.Secrets.Len(), snap.Faults)
	}
}

func TestANamespaceMayOnlyHaveSoMuchKept(t *testing.T) {
	server := apitest.New(t)
	big := strings.Repeat("x", 1000)
	server.Put(secret("one", big), secret("two", big), secret("three", big))
	elsewhere := secret("one", big)
	elsewhere.Namespace = "other"
	server.Put(elsewhere)
	w := openedFor(t, server, long)
	w.source.Bound(5000)
	otherKey := gwapi.KeyOf(gwapi.KindSecret, "other", "one")
	keys := []gwapi.Key{secretKey("one"), secretKey("two"), secretKey("three"), otherKey}
	// Which of the three finds no room is chance; the neighbour always has some.
	began := time.Now()
	w.needed(keys...)
	if took := time.Since(began); took > long {
		t.Errorf("everybody was held up for %s", took)
	}
	snap := w.source.Snapshot()
	if len(snap.Faults) != 1 || snap.Secrets.Len() != 3 || snap.Faults[otherKey] != "" {
		t.Fatalf("%d Secrets are kept, faults are %v", snap.Secrets.Len(), snap.Faults)
	}
	for key, fault := range snap.Faults {
		if !strings.Contains(fault, "namespace web is more than 4 KiB") {
			t.Errorf("the fault of %s is %q", key, fault)
		}
		// Room that is made is found: one of those that were kept is named no more.
		kept := slices.IndexFunc(keys, func(k gwapi.Key) bool { return k != key })
		w.need(slices.Delete(keys, kept, kept+1)...)
	}
	w.until("there is room", func(snap *snapshot.Snapshot) bool { return len(snap.Faults) == 0 })
}
