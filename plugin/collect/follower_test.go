package collect_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/collect"
)

// soon is a pace for tests.
var soon = collect.Pace{
	Poll: 50 * time.Millisecond, Retry: 10 * time.Millisecond, RetryMost: 50 * time.Millisecond, Patience: 10 * time.Second,
}

// patience is how long something may take that happens at once.
const patience = time.Minute

func follow(t *testing.T, server *apiservertest.Server) *collect.Follower {
	t.Helper()
	scheme, err := collect.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	reader, err := client.NewWithWatch(&rest.Config{Host: server.URL, Transport: transport, QPS: -1},
		client.Options{Scheme: scheme, Mapper: collect.Mapper()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	follower := collect.NewFollower(ctx, reader, soon)
	t.Cleanup(func() {
		end()
		follower.Wait()
		transport.CloseIdleConnections()
	})
	return follower
}

func object(kind, name, value string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"value": value}}}
	made.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	made.SetNamespace("shop")
	made.SetName(name)
	return made
}

func put(t *testing.T, server *apiservertest.Server, objects ...*unstructured.Unstructured) {
	t.Helper()
	for _, one := range objects {
		if err := server.Put(one, "kubectl"); err != nil {
			t.Fatal(err)
		}
	}
}

// names lists the Services that are known of.
func names(t *testing.T, follower *collect.Follower) string {
	t.Helper()
	var list corev1.ServiceList
	if err := follower.List(t.Context(), &list, client.InNamespace("shop")); err != nil {
		return err.Error()
	}
	var text []string
	for _, item := range list.Items {
		text = append(text, item.Name)
	}
	return strings.Join(text, " ")
}

// value is what the ConfigMap named ca holds.
func value(t *testing.T, follower *collect.Follower) string {
	t.Helper()
	var bundle corev1.ConfigMap
	err := follower.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "ca"}, &bundle)
	if err != nil {
		return string(apierrors.ReasonForError(err))
	}
	return bundle.Data["value"]
}

// becomes waits until what is asked again after each change is as wanted.
func becomes(t *testing.T, follower *collect.Follower, wanted string, ask func(*testing.T, *collect.Follower) string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		got := ask(t, follower)
		if got == wanted {
			return
		}
		select {
		case <-follower.Changes():
		case <-deadline:
			t.Fatalf("got %q, not %q", got, wanted)
		}
	}
}

func count(server *apiservertest.Server, verb, resource string) int {
	n := 0
	for _, request := range server.Requests() {
		if request.Verb == verb && request.Resource == resource {
			n++
		}
	}
	return n
}

func TestAListIsAskedForOnceAndThenFollowed(t *testing.T) {
	server := apiservertest.New(t, object("Service", "b", ""), object("Service", "a", ""))
	server.Page = 1
	follower := follow(t, server)
	becomes(t, follower, "a b", names)
	pages := count(server, "list", "services")
	put(t, server, object("Service", "c", ""))
	becomes(t, follower, "a b c", names)
	server.Delete("services", "shop", "a")
	becomes(t, follower, "b c", names)
	if n := count(server, "list", "services"); n != pages || pages != 2 {
		t.Errorf("%d pages of the list, and %d in the end", pages, n)
	}
	if outage := follower.Outage(); outage != nil {
		t.Errorf("an outage: %v", outage.Err)
	}
}

func TestAListThatExpiresBetweenPagesIsBegunAgain(t *testing.T) {
	server := apiservertest.New(t, object("Service", "b", ""), object("Service", "a", ""))
	server.Page, server.Expire = 1, true
	becomes(t, follow(t, server), "a b", names)
}

func TestAnObjectThatMayBeGotAndNotListedIsPolled(t *testing.T) {
	server := apiservertest.New(t, object("ConfigMap", "ca", "one"))
	server.Allow = func(verb, _, _, _ string) bool { return verb == "get" }
	follower := follow(t, server)
	becomes(t, follower, "one", value)
	put(t, server, object("ConfigMap", "ca", "two"))
	becomes(t, follower, "two", value)
	server.Delete("configmaps", "shop", "ca")
	becomes(t, follower, "NotFound", value)
	if warnings := follower.Warnings(); len(warnings) != 1 || !strings.HasPrefix(warnings[0], "configmaps cannot be watched") {
		t.Errorf("warnings are %q", warnings)
	}
}

func TestAnObjectIsFollowedByItsNameAlone(t *testing.T) {
	server := apiservertest.New(t, object("ConfigMap", "ca", "one"), object("ConfigMap", "other", "secret"))
	follower := follow(t, server)
	becomes(t, follower, "one", value)
	put(t, server, object("ConfigMap", "ca", "two"))
	becomes(t, follower, "two", value)
	for _, request := range server.Requests() {
		if request.Name != "ca" {
			t.Errorf("asked for %+v", request)
		}
	}
}

func TestARefusalIsRememberedUntilTheRightIsGiven(t *testing.T) {
	server := apiservertest.New(t, object("Service", "a", ""))
	var allowed atomic.Bool
	server.Allow = func(string, string, string, string) bool { return allowed.Load() }
	follower := follow(t, server)
	refusal := names(t, follower)
	if !strings.Contains(refusal, "forbidden") || names(t, follower) != refusal {
		t.Errorf("got %q", refusal)
	}
	allowed.Store(true)
	becomes(t, follower, "a", names)
	allowed.Store(false)
	server.Forget()
	becomes(t, follower, refusal, names)
}

func TestWhatCannotBeWatchedIsWatchedAsSoonAsItCan(t *testing.T) {
	server := apiservertest.New(t, object("Service", "a", ""))
	var allowed atomic.Bool
	server.Allow = func(verb, _, _, _ string) bool { return verb != "watch" || allowed.Load() }
	follower := follow(t, server)
	becomes(t, follower, "a", names)
	put(t, server, object("Service", "b", ""))
	becomes(t, follower, "a b", names)
	allowed.Store(true)
	becomes(t, follower, "", func(_ *testing.T, f *collect.Follower) string { return strings.Join(f.Warnings(), "") })
}

func TestAnOutageIsSaidWithTheLastAnswerAndEnds(t *testing.T) {
	server := apiservertest.New(t, object("Service", "a", ""))
	follower := follow(t, server)
	becomes(t, follower, "a", names)
	begin := time.Now()
	server.Leave()
	state := func(t *testing.T, f *collect.Follower) string {
		if f.Outage() == nil {
			return "there " + names(t, f)
		}
		return "away " + names(t, f)
	}
	becomes(t, follower, "away a", state)
	if since := follower.Outage().Since; since.Before(begin) || since.After(time.Now()) {
		t.Errorf("since %s", since)
	}
	put(t, server, object("Service", "b", ""))
	if err := server.Return(); err != nil {
		t.Fatal(err)
	}
	becomes(t, follower, "there a b", state)
}

func TestWhatNobodyAsksForAnyMoreIsNotFollowed(t *testing.T) {
	server := apiservertest.New(t, object("Service", "a", ""), object("ConfigMap", "ca", "one"))
	follower := follow(t, server)
	becomes(t, follower, "a", names)
	becomes(t, follower, "one", value)
	follower.Sweep()
	becomes(t, follower, "a", names)
	follower.Sweep() // The ConfigMap was not asked for between the two.
	lists := count(server, "list", "configmaps")
	becomes(t, follower, "one", value)
	if n := count(server, "list", "configmaps"); n != lists+1 {
		t.Errorf("%d lists more", n-lists)
	}
	if n := count(server, "list", "services"); n != 1 {
		t.Errorf("the Services were listed %d times", n)
	}
}

func TestWhoeverWaitsForTheFirstAnswerMayLeave(t *testing.T) {
	server := apiservertest.New(t)
	held := make(chan struct{})
	server.Before = func(apiservertest.Request) { <-held }
	follower := follow(t, server)
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	err := follower.List(ctx, &corev1.ServiceList{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	close(held)
}
