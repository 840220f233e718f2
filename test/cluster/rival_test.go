package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/manifests/rights"
)

// The controllers of the tests' objects.
const (
	ourController   = "backendtls.dev/gateway-controller"
	rivalController = "example.com/another"
)

// entry is what another controller says of its nth parent.
func entry(reference string, n int) map[string]any {
	return map[string]any{
		reference: map[string]any{
			"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": fmt.Sprintf("elsewhere-%d", n),
		},
		"controllerName": rivalController,
		"conditions": []any{map[string]any{
			"type": "Accepted", "status": "True", "reason": "Accepted", "message": time.Now().Format(time.RFC3339Nano),
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}},
	}
}

// overwrite replaces the whole list in the status of an object by n entries of
// another controller, whatever was in it: the list is atomic.
func overwrite(ctx context.Context, object client.Object, n int) error {
	list, reference := "ancestors", "ancestorRef"
	if _, is := object.(*gatewayv1.HTTPRoute); is {
		list, reference = "parents", "parentRef"
	}
	entries := make([]any, n)
	for i := range entries {
		entries[i] = entry(reference, i)
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{list: entries}})
	if err != nil {
		return err
	}
	return here.client.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("another"))
}

// TestARivalForStatusEndsInNoStorm has another controller write the statuses of
// a policy and a route ten times a second, each time without our entries.
func TestARivalForStatusEndsInNoStorm(t *testing.T) {
	team, _, address := newTeam(t, 1)
	log, err := auditFrom(here.directory)
	if err != nil {
		t.Fatal(err)
	}
	var wrote int
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); wrote++ {
		if err := overwrite(t.Context(), &gatewayv1.BackendTLSPolicy{Namespace: team.name, Name: "api"}, 1); err != nil {
			t.Fatal(err)
		}
		if err := overwrite(t.Context(), &gatewayv1.HTTPRoute{Namespace: team.name, Name: "api"}, 1); err != nil {
			t.Fatal(err)
		}
		if got := team.status(address); got != 200 {
			t.Errorf("a client gets %d meanwhile", got)
		}
		time.Sleep(100 * time.Millisecond)
	}
	eventually(t, time.Minute, "both controllers have their entries", func() string {
		return team.sharing([]string{ourController, rivalController})
	})
	for _, resource := range []string{"backendtlspolicies/status", "httproutes/status"} {
		// One at once, then after 1, 2, 4 s, each tried again where it came too late.
		if n := log.writes(t, resource, team.name, "api"); n == 0 || n > 16 {
			t.Errorf("%d writes of %s against %d of the other controller, want some and at most 16", n, resource, wrote)
		} else {
			t.Logf("%d writes of %s against %d", n, resource, wrote)
		}
	}
}

// sharing says what keeps the policy and the route from having an entry of each
// of the controllers, and no other.
func (s *space) sharing(controllers []string) string {
	s.Helper()
	var policy gatewayv1.BackendTLSPolicy
	var route gatewayv1.HTTPRoute
	for _, object := range []client.Object{&policy, &route} {
		if err := here.client.Get(s.Context(), s.key("api"), object); err != nil {
			return err.Error()
		}
	}
	said := map[string]map[string]int{"policy": {}, "route": {}}
	for _, ancestor := range policy.Status.Ancestors {
		said["policy"][string(ancestor.ControllerName)]++
	}
	for _, parent := range route.Status.Parents {
		said["route"][string(parent.ControllerName)]++
	}
	for object, by := range said {
		for _, controller := range controllers {
			if by[controller] != 1 || len(by) != len(controllers) {
				return fmt.Sprintf("the entries of the %s are by %v", object, by)
			}
		}
	}
	return ""
}

// writes is how often the operator wrote an object since.
func (a audit) writes(t *testing.T, resource, namespace, name string) int {
	t.Helper()
	log, err := a.open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	requests, err := rights.Read(log, "system:serviceaccount:"+system+":backendtls-operator")
	if err != nil {
		t.Fatal(err)
	}
	return requests.Allowed[rights.Request{
		Group: "gateway.networking.k8s.io", Resource: resource, Verb: "update", Namespace: namespace, Name: name,
	}]
}

// TestAPolicyWithoutRoomForOurEntryIsNotApplied fills a policy's status with
// what other controllers say, and makes room again.
func TestAPolicyWithoutRoomForOurEntryIsNotApplied(t *testing.T) {
	team, _, address := newTeam(t, 1)
	// Others that keep what they wrote, as real ones do.
	var others sync.WaitGroup
	full, stop := context.WithCancel(t.Context())
	others.Go(func() {
		for full.Err() == nil {
			var policy gatewayv1.BackendTLSPolicy
			err := here.client.Get(full, team.key("api"), &policy)
			if err == nil && (len(policy.Status.Ancestors) != 16 || policy.Status.Ancestors[0].ControllerName != rivalController) {
				_ = overwrite(full, &policy, 16)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	defer others.Wait()
	defer stop()
	team.answers(time.Minute, address, 500)
	var gateway gatewayv1.Gateway
	eventually(t, time.Minute, "the Gateway says that there is no room", func() string {
		if err := here.client.Get(t.Context(), team.key("web"), &gateway); err != nil {
			return err.Error()
		}
		if !meta.IsStatusConditionTrue(gateway.Status.Conditions, "backendtls.dev/PolicyAncestorsFull") {
			return "the condition is not there"
		}
		return ""
	})
	if condition := team.condition("Programmed"); condition != nil {
		t.Errorf("the policy says %v in a seventeenth entry", condition)
	}
	stop()
	others.Wait()
	policy := &gatewayv1.BackendTLSPolicy{Namespace: team.name, Name: "api"}
	if err := overwrite(t.Context(), policy, 15); err != nil {
		t.Fatal(err)
	}
	team.answers(time.Minute, address, 200)
	team.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")
	eventually(t, time.Minute, "the Gateway takes it back", func() string {
		if err := here.client.Get(t.Context(), team.key("web"), &gateway); err != nil {
			return err.Error()
		}
		if meta.IsStatusConditionTrue(gateway.Status.Conditions, "backendtls.dev/PolicyAncestorsFull") {
			return "the condition is still there"
		}
		return ""
	})
}
