package status_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// rival writes a route's status in a loop, as another controller, until the
// test ends or stop is called.
func rival(s *shelf, name string, pause time.Duration, change func(round int, live *gatewayv1.HTTPRoute)) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for round := 0; ctx.Err() == nil; round++ {
			err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
				live := &gatewayv1.HTTPRoute{}
				if err := s.client.Get(ctx, client.ObjectKey{Namespace: "default", Name: name}, live); err != nil {
					return err
				}
				change(round, live)
				return s.client.Status().Update(ctx, live, client.FieldOwner("rival"))
			})
			if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !errors.Is(err, context.Canceled) {
				s.t.Errorf("rival: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); writing.Wait() })
	s.t.Cleanup(stop)
	return stop
}

// theirs puts the stranger's own entry into a status, with a new message.
func theirs(round int, live *gatewayv1.HTTPRoute) {
	at := slices.IndexFunc(live.Status.Parents, func(p gatewayv1.RouteParentStatus) bool {
		return p.ControllerName == stranger
	})
	entry := parent(stranger, "web", condition("Accepted", metav1.ConditionTrue, "Theirs"))
	entry.Conditions[0].ObservedGeneration = int64(round)
	if at < 0 {
		live.Status.Parents = append(live.Status.Parents, entry)
		return
	}
	live.Status.Parents[at] = entry
}

func TestTwoControllersThatKeepToTheirOwnEntriesLoseNothing(t *testing.T) {
	s := open(t, newServerWith(t, route("shared"))).run()
	stop := rival(s, "shared", 5*time.Millisecond, theirs)
	await(t, "the stranger has an entry", func() bool { return s.reasons("shared")[stranger] == "Theirs" })
	set := report.Set{routeKey("shared"): routeReport("First")}
	s.Put(set)
	s.says("shared", "First")
	for _, reason := range []string{"Second", "Third", "Fourth"} {
		s.Put(report.Set{routeKey("shared"): routeReport(reason)})
		s.says("shared", reason)
	}
	stop()
	if s.reasons("shared")[stranger] != "Theirs" {
		t.Errorf("the stranger's entry is lost: %v", s.reasons("shared"))
	}
	if writes := len(s.writes()); writes != 4 {
		t.Errorf("%d writes for four things to say", writes)
	}
	if rewrites := s.metric("backendtls_status_rewrites_total", ""); rewrites != 0 {
		t.Errorf("%v rewrites counted, but nobody touched our entry", rewrites)
	}
}

func TestARivalThatRemovesOurEntryIsAnsweredLessAndLessOften(t *testing.T) {
	s := open(t, newServerWith(t, route("shared"))).run()
	s.Put(report.Set{routeKey("shared"): routeReport("First")})
	s.says("shared", "First")
	started := time.Now()
	stop := rival(s, "shared", 5*time.Millisecond, func(round int, live *gatewayv1.HTTPRoute) {
		live.Status.Parents = nil
		theirs(round, live)
	})
	// Written once; put back at once, twice; then after 1 s, 2 s.
	await(t, "it is put back three times", func() bool {
		return s.metric("backendtls_status_rewrites_total", "") >= 3
	})
	if took := time.Since(started); took < 900*time.Millisecond {
		t.Errorf("three times within %v, want a second in between", took)
	}
	time.Sleep(1500 * time.Millisecond)
	writes := len(s.writes())
	// However long that was on a busy machine: each wait is twice the one before.
	most := 4
	for wait, at := 2*time.Second, time.Second; at < time.Since(started); at, wait = at+wait, 2*wait {
		most++
	}
	if writes > most {
		t.Errorf("%d writes in %v, want at most %d", writes, time.Since(started), most)
	}
	if tries := s.metric("backendtls_status_writes_total", "conflict"); tries > 20 {
		t.Errorf("%v conflicts", tries)
	}
	stop()
	s.says("shared", "First")
	if s.reasons("shared")[stranger] != "Theirs" {
		t.Errorf("the stranger's entry is lost: %v", s.reasons("shared"))
	}
	if said := s.log.count("somebody else keeps changing our part"); said != 1 {
		t.Errorf("the log says it %d times, want once", said)
	}
	if s.log.count(stranger) == 0 {
		t.Errorf("the log does not name the other controller: %s", s.log.text.String())
	}
}

func TestTheLogNamesTheFieldManagersThatFight(t *testing.T) {
	t.Parallel()
	live := route("shared")
	live.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "rival", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status", APIVersion: "v1"},
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1"},
	}
	s := open(t, newServerWith(t, live)).run()
	s.Put(report.Set{routeKey("shared"): routeReport("First")})
	s.says("shared", "First")
	rival(s, "shared", 5*time.Millisecond, func(_ int, live *gatewayv1.HTTPRoute) { live.Status.Parents = nil })
	await(t, "the log tells", func() bool { return s.log.count("somebody else keeps changing our part") == 1 })
	if s.log.count("rival") == 0 || s.log.count("kubectl") > 0 {
		t.Errorf("the log names others than the one who writes the status: %s", s.log.text.String())
	}
}

func TestAnObjectThatChangesAllTheTimeIsTriedLessOften(t *testing.T) {
	server := newServerWith(t, route("busy"))
	s := open(t, server).run()
	// Whenever we write, somebody was faster.
	server.Hook(func(_ context.Context, r request) error {
		if !statusWrite(r) || r.FieldManager == "rival" {
			return nil
		}
		live := route("busy")
		server.Get(live)
		live.Labels = map[string]string{"round": time.Now().Format("150405.000000000")}
		server.Put(live)
		return nil
	})
	s.Put(report.Set{routeKey("busy"): routeReport("First")})
	await(t, "it was tried several times", func() bool {
		return s.metric("backendtls_status_writes_total", "conflict") >= 4
	})
	time.Sleep(time.Second)
	if tries := s.metric("backendtls_status_writes_total", "conflict"); tries > 9 {
		t.Errorf("%v conflicts", tries)
	}
	if said := s.log.count("as often as its status is written"); said != 1 {
		t.Errorf("the log says it %d times, want once", said)
	}
}

func TestOurEntryInAStatusOfAStrangersObjectIsRemovedAndTheirsStays(t *testing.T) {
	live := route("left")
	live.Status.Parents = []gatewayv1.RouteParentStatus{
		parent(stranger, "web", condition("Accepted", metav1.ConditionTrue, "Theirs")),
		parent(gwapi.ControllerName, "web", condition("Accepted", metav1.ConditionTrue, "Old")),
	}
	s := open(t, newServerWith(t, live)).run()
	s.Put(report.Set{})
	await(t, "ours is removed", func() bool { return len(s.reasons("left")) == 1 })
	if s.reasons("left")[stranger] != "Theirs" {
		t.Errorf("entries are %v", s.reasons("left"))
	}
}
