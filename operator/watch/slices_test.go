package watch_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/operator/apitest"
)

func TestASliceIsToldToItsServiceAloneAndIsNoChange(t *testing.T) {
	server := apitest.New(t)
	server.Put(slice("a-1", "a", "192.0.2.1"), slice("a-2", "a", "192.0.2.2"), slice("b-1", "b", "192.0.2.3"))
	w := opened(t, server)
	w.slices.services()
	is := func(service string, want ...string) func() bool {
		return func() bool { return slices.Equal(w.slices.names(service), append([]string{}, want...)) }
	}
	for _, step := range []struct {
		what string
		do   func()
		then func() bool
		// told are the Services that the sink hears of.
		told []string
	}{
		{"a new slice", func() { server.Put(slice("a-0", "a", "192.0.2.4")) }, is("a", "a-0", "a-1", "a-2"), []string{"a"}},
		{"a slice goes", func() { server.Delete(slice("a-1", "", "")) }, is("a", "a-0", "a-2"), []string{"a"}},
		{"a slice changes hands", func() { server.Put(slice("a-2", "b", "192.0.2.2")) }, is("b", "a-2", "b-1"), []string{"a", "b"}},
		{"a slice is left without a Service", func() { server.Put(slice("a-0", "", "192.0.2.4")) }, is("a"), []string{"a"}},
	} {
		step.do()
		eventually(t, step.what, step.then)
		if told := w.slices.services(); !slices.Equal(told, step.told) {
			t.Errorf("%s: told of %v", step.what, told)
		}
	}
	w.noChange()
}

func TestSlicesThatAreListedAgainAreNotToldAgain(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(slice("a", "a", "192.0.2.1"), slice("b", "b", "192.0.2.2"))
	w := opened(t, server)
	w.slices.services()
	server.SetAway(true)
	server.Put(slice("b", "b", "192.0.2.3"))
	server.Expire()
	server.SetAway(false)
	eventually(t, "the one that changed is told", func() bool {
		w.slices.mu.Lock()
		defer w.slices.mu.Unlock()
		return w.slices.last[types.NamespacedName{Namespace: "web", Name: "b"}][0].Endpoints[0].Addresses[0] == "192.0.2.3"
	})
	if told := w.slices.services(); !slices.Equal(told, []string{"b"}) {
		t.Errorf("told of %v", told)
	}
}

func TestSlicesKeepWhatIsRead(t *testing.T) {
	server := apitest.New(t)
	server.Put(slice("a", "a", "192.0.2.1"))
	w := opened(t, server)
	w.slices.mu.Lock()
	defer w.slices.mu.Unlock()
	got := w.slices.last[types.NamespacedName{Namespace: "web", Name: "a"}][0]
	endpoint := got.Endpoints[0]
	if endpoint.NodeName != nil || endpoint.TargetRef.UID != "" || got.ManagedFields != nil {
		t.Errorf("kept what nobody reads: %+v", got)
	}
	if endpoint.TargetRef.Name != "pod" || endpoint.Addresses[0] != "192.0.2.1" || *got.Ports[0].Port != 8443 {
		t.Errorf("lost what is read: %+v", got)
	}
}
