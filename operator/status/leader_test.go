package status_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/apitest"
)

func TestWhoeverIsElectedWritesEverythingThatIsToBeSaid(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	abandoned := route("abandoned")
	abandoned.Status.Parents = []gatewayv1.RouteParentStatus{
		parent(gwapi.ControllerName, "web", condition("Accepted", metav1.ConditionTrue, "Old")),
	}
	server.Put(abandoned, policy("open"))
	s := open(t, server)
	s.leading.Store(false)
	s.run()
	set := routes(server, 30, "First")
	set[policyKey("open")] = policyReport(metav1.ConditionTrue, "VerificationSkipped")
	s.Put(set)
	live := route("r29")
	await(t, "the cache has the routes", func() bool {
		return s.cache.Get(t.Context(), client.ObjectKeyFromObject(live), live) == nil
	})
	if writes := s.writes(); len(writes) > 0 {
		t.Fatalf("%d writes by a replica that does not lead", len(writes))
	}
	s.leading.Store(true)
	s.Poke()
	for i := range 30 {
		s.says(fmt.Sprintf("r%d", i), "First")
	}
	await(t, "what nobody reports on is removed", func() bool { return len(s.reasons("abandoned")) == 0 })
	await(t, "the policy is written", func() bool { p := policy("open"); return server.Get(p) && len(p.Status.Ancestors) == 1 })
	s.settled()
	if writes := len(s.writes()); writes != 32 {
		t.Errorf("%d writes, want 32", writes)
	}
	// Elected again after nothing happened: looked at, not written.
	server.Forget()
	looked := s.metric("backendtls_status_unchanged_total", "")
	s.Poke()
	await(t, "all are looked at", func() bool { return s.metric("backendtls_status_unchanged_total", "") >= looked+32 })
	if writes := s.writes(); len(writes) > 0 {
		t.Errorf("%d writes, want none", len(writes))
	}
}

func TestNothingIsWrittenFromTheMomentTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	s := open(t, server).run()
	var allowed atomic.Int64
	var late atomic.Int64
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if !statusWrite(r) {
			return nil
		}
		switch n := allowed.Add(1); {
		case n == 40:
			s.leading.Store(false)
		case n > 40+8: // Eight may have been on their way.
			late.Add(1)
		}
		return nil
	})
	set := routes(server, 150, "First")
	s.Put(set)
	await(t, "the lease is lost", func() bool { return !s.leading.Load() })
	s.Put(routes(nil, 150, "Second"))
	s.settled()
	if late.Load() > 0 {
		t.Errorf("%d writes after the lease was lost", late.Load())
	}
	s.leading.Store(true)
	s.Poke()
	allowed.Store(-10000)
	for i := range 150 {
		s.says(fmt.Sprintf("r%d", i), "Second")
	}
}

func TestTwoReplicasThatTakeTurnsSayTheSame(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	set := routes(server, 20, "First")
	one, two := open(t, server), open(t, server)
	two.leading.Store(false)
	one.run()
	two.run()
	one.Put(set)
	two.Put(set)
	for i := range 20 {
		one.says(fmt.Sprintf("r%d", i), "First")
	}
	one.settled()
	server.Forget()
	one.leading.Store(false)
	two.leading.Store(true)
	one.Poke()
	two.Poke()
	two.settled()
	if writes := two.writes(); len(writes) > 0 {
		t.Errorf("%d writes by the second leader, who has nothing new to say", len(writes))
	}
	if said := two.metric("backendtls_status_rewrites_total", ""); said > 0 {
		t.Errorf("%v rewrites counted", said)
	}
	two.Put(report.Set{routeKey("r3"): routeReport("Second")})
	two.says("r3", "Second")
	await(t, "the others are removed", func() bool { return len(two.reasons("r4")) == 0 })
}
