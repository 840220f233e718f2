package status_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/apitest"
)

func statusWrite(r apitest.Request) bool { return r.Verb == "update" && r.Subresource == "status" }

func TestWhatIsDesiredIsWrittenOnceAndOnlyItsDifferenceLater(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	s := open(t, server).run()
	s.Put(routes(server, 20, "First"))
	for i := range 20 {
		s.says(fmt.Sprintf("r%d", i), "First")
	}
	s.settled()
	if writes := len(s.writes()); writes != 20 {
		t.Errorf("%d writes for 20 objects", writes)
	}
	server.Forget()
	again := routes(nil, 20, "First")
	again.Stamp(time.Now().Add(time.Hour))
	s.Put(again)
	second := routes(nil, 20, "First")
	second[routeKey("r7")] = routeReport("Second")
	s.Put(second)
	s.says("r7", "Second")
	s.settled()
	if writes := s.writes(); len(writes) != 1 || writes[0].Name != "r7" {
		t.Errorf("written was %v, want r7 alone", writes)
	}
}

func TestAnObjectThatAppearsAfterItsReportIsWritten(t *testing.T) {
	server := apitest.New(t)
	s := open(t, server).run()
	s.Put(report.Set{routeKey("late"): routeReport("Late"), routeKey("other"): routeReport("Other")})
	server.Put(route("other"))
	s.says("other", "Other")
	server.Put(route("late"))
	s.says("late", "Late")
}

func TestNothingIsWrittenOrRemovedBeforeTheFirstDecision(t *testing.T) {
	server := apitest.New(t)
	old := route("old")
	old.Status.Parents = []gatewayv1.RouteParentStatus{
		parent(gwapi.ControllerName, "web", condition("Accepted", metav1.ConditionTrue, "Old")),
	}
	server.Put(old)
	s := open(t, server).run()
	await(t, "routes are watched", func() bool { return server.Watches("httproutes") > 0 })
	s.Poke()
	touched := old.DeepCopy()
	touched.Labels = map[string]string{"touched": "yes"}
	server.Put(touched)
	live := route("old")
	await(t, "the cache has the label", func() bool {
		return s.cache.Get(t.Context(), client.ObjectKeyFromObject(live), live) == nil && live.Labels["touched"] == "yes"
	})
	time.Sleep(100 * time.Millisecond) // There is nothing to wait for.
	if writes := s.writes(); len(writes) > 0 {
		t.Errorf("written before anything was decided: %v", writes)
	}
	s.Put(report.Set{})
	await(t, "the entry is removed", func() bool { return len(s.reasons("old")) == 0 })
}

func TestAConflictOnEverySecondWriteCostsNothingButTime(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	s := open(t, server).run()
	var count atomic.Int64
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if statusWrite(r) && count.Add(1)%2 == 0 {
			return apierrors.NewConflict(schema.GroupResource{Resource: r.Resource}, r.Name, nil)
		}
		return nil
	})
	s.Put(routes(server, 50, "First"))
	for i := range 50 {
		s.says(fmt.Sprintf("r%d", i), "First")
	}
	s.settled()
	written, conflicts := s.metric("backendtls_status_writes_total", "written"), s.metric("backendtls_status_writes_total", "conflict")
	if written != 50 || conflicts == 0 {
		t.Errorf("%v written and %v conflicts, want 50 and some", written, conflicts)
	}
}

func TestLostWatchesAndForeignChangesMeanwhileLoseNothing(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	s := open(t, server).run()
	s.Put(routes(server, 5, "First"))
	for i := range 5 {
		s.says(fmt.Sprintf("r%d", i), "First")
	}
	s.settled()
	// While nobody watches, a stranger adds itself to each.
	see := s.blind()
	for i := range 5 {
		live := route(fmt.Sprintf("r%d", i))
		server.Get(live)
		live.Status.Parents = append(live.Status.Parents,
			parent(stranger, "web", condition("Accepted", metav1.ConditionTrue, "Theirs")))
		server.Put(live)
	}
	server.Expire()
	s.Put(routes(nil, 5, "Second"))
	see()
	for i := range 5 {
		name := fmt.Sprintf("r%d", i)
		s.says(name, "Second")
		if s.reasons(name)[stranger] != "Theirs" {
			t.Errorf("%s: the stranger's entry is lost: %v", name, s.reasons(name))
		}
	}
}

func TestAnAPIServerThatIsAwayIsWaitedForWithoutALineForEachObject(t *testing.T) {
	server := apitest.New(t)
	s := open(t, server).run()
	s.Put(routes(server, 100, "First"))
	for i := range 100 {
		s.says(fmt.Sprintf("r%d", i), "First")
	}
	server.SetAway(true)
	s.Put(routes(nil, 100, "Second"))
	await(t, "writes fail", func() bool { return s.metric("backendtls_status_writes_total", "failed") >= 100 })
	server.SetAway(false)
	for i := range 100 {
		s.says(fmt.Sprintf("r%d", i), "Second")
	}
	if said := s.log.count("a status cannot be written"); said != 1 {
		t.Errorf("the log says it %d times, want once", said)
	}
}

func TestAnObjectThatIsGoneIsDropped(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(route("gone"), route("here"))
	s := open(t, server)
	// The cache still has it, the server does not.
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if statusWrite(r) && r.Name == "gone" {
			return apierrors.NewNotFound(schema.GroupResource{Resource: r.Resource}, r.Name)
		}
		return nil
	})
	s.run()
	s.Put(report.Set{routeKey("gone"): routeReport("First"), routeKey("here"): routeReport("First")})
	s.says("here", "First")
	await(t, "it is tried and dropped", func() bool { return s.metric("backendtls_status_writes_total", "gone") == 3 })
	s.settled()
	if tried := s.metric("backendtls_status_writes_total", "gone"); tried != 3 {
		t.Errorf("tried %v times, want 3", tried)
	}
}

func TestAKindThatIsNotInstalledIsNeitherWatchedNorComplainedAbout(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Uninstall("tcproutes")
	s := open(t, server).run()
	set := routes(server, 1, "First")
	set[gwapi.KeyOf(gwapi.KindTCPRoute, "default", "raw")] = routeReport("First")
	set[gwapi.KeyOf(gwapi.KindGatewayParameters, "default", "odd")] = report.Report{Generation: 1}
	s.Put(set)
	s.says("r0", "First")
	s.Poke()
	s.settled()
	for _, r := range server.Requests() {
		if r.Resource == "gatewayparameters" || r.Resource == "tcproutes" && !r.Metadata {
			t.Errorf("asked for: %+v", r)
		}
	}
	if s.log.count("level=") > 0 {
		t.Errorf("the log complains: %s", s.log.text.String())
	}
}

func TestAKindThatIsInstalledLaterIsTakenUp(t *testing.T) {
	server := apitest.New(t)
	server.Uninstall("grpcroutes")
	s := open(t, server)
	s.Impatient()
	s.run()
	set := routes(server, 1, "First")
	set[gwapi.KeyOf(gwapi.KindGRPCRoute, "default", "raw")] = routeReport("First")
	s.Put(set)
	s.says("r0", "First")
	server.Install("grpcroutes", apitest.BundleVersion)
	raw := &gatewayv1.GRPCRoute{Namespace: "default", Name: "raw"}
	server.Put(raw)
	await(t, "it is written", func() bool { return server.Get(raw) && len(raw.Status.Parents) == 1 })
}

func TestAKindThatCannotBeReadHoldsNoOtherBack(t *testing.T) {
	server := apitest.New(t)
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource == "listenersets" && !r.Metadata {
			return apierrors.NewForbidden(schema.GroupResource{Resource: r.Resource}, "", nil)
		}
		return nil
	})
	s := open(t, server).run()
	set := routes(server, 50, "First")
	for i := range 20 {
		set[gwapi.KeyOf(gwapi.KindListenerSet, "default", fmt.Sprintf("l%d", i))] = report.Report{Generation: 1}
	}
	asked := time.Now()
	s.Put(set)
	for i := range 50 {
		s.says(fmt.Sprintf("r%d", i), "First")
	}
	if took := time.Since(asked); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestWhatAModeWaitsForIsWrittenBeforeAllElse(t *testing.T) {
	server := apitest.New(t)
	s := open(t, server).run()
	server.Put(policy("open"))
	set := routes(server, 600, "First")
	strict := policyReport(metav1.ConditionFalse, "Strict")
	s.Put(report.Set{policyKey("open"): strict})
	await(t, "the policy is written", func() bool { return len(s.writes()) == 1 })
	set[policyKey("open")] = strict
	s.Put(set)
	await(t, "the pace is reached", func() bool { return len(s.writes()) >= 220 })
	next := routes(nil, 600, "Second")
	next[policyKey("open")] = policyReport(metav1.ConditionTrue, "VerificationSkipped")
	s.Put(next)
	live := policy("open")
	await(t, "the mode is admitted", func() bool {
		return server.Get(live) && len(live.Status.Ancestors) == 1 &&
			live.Status.Ancestors[0].Conditions[1].Status == metav1.ConditionTrue
	})
	said := 0
	for before, write := range s.writes() {
		if write.Name != "open" {
			continue
		}
		if said++; said == 2 && before > 500 {
			t.Errorf("%d other statuses came first", before-1)
		}
	}
	if said != 2 {
		t.Errorf("it was written %d times", said)
	}
	await(t, "the log says it", func() bool { return s.log.count("event=SecurityDegraded") == 1 })
}

func TestTheCachesObjectsAreNotModified(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	live := route("shared")
	// What the cache does not keep is in the server's answer.
	live.Annotations = map[string]string{
		"example.net/kept": "yes", corev1.LastAppliedConfigAnnotation: "dropped", "example.net/too": "yes",
	}
	live.Status.Parents = []gatewayv1.RouteParentStatus{
		parent(stranger, "web", condition("Accepted", metav1.ConditionTrue, "Theirs")),
		parent(gwapi.ControllerName, "web", condition("Accepted", metav1.ConditionFalse, "Old")),
	}
	server.Put(live)
	s := open(t, server).run()
	var cached gatewayv1.HTTPRoute
	await(t, "the cache has it", func() bool {
		return s.cache.Get(t.Context(), client.ObjectKeyFromObject(live), &cached, client.UnsafeDisableDeepCopy) == nil
	})
	before, err := json.Marshal(cached)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(report.Set{routeKey("shared"): routeReport("First")})
	s.says("shared", "First")
	s.settled()
	after, err := json.Marshal(cached)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("the cached object changed (-was +is):\n%s", diff)
	}
}

func TestWhatTheCacheShowsLateIsWaitedForWithoutConflicts(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	s := open(t, server).run()
	s.Put(routes(server, 3, "First"))
	for i := range 3 {
		live := route(fmt.Sprintf("r%d", i))
		await(t, "the cache shows what was written", func() bool {
			return s.cache.Get(t.Context(), client.ObjectKeyFromObject(live), live) == nil && len(live.Status.Parents) == 1
		})
	}
	see := s.blind()
	s.Put(routes(nil, 3, "Second"))
	for i := range 3 {
		s.says(fmt.Sprintf("r%d", i), "Second")
	}
	s.Put(routes(nil, 3, "Third"))
	s.settled()
	if tries := s.metric("backendtls_status_writes_total", "conflict"); tries > 0 {
		t.Errorf("%v conflicts with what was written last", tries)
	}
	see()
	for i := range 3 {
		s.says(fmt.Sprintf("r%d", i), "Third")
	}
}

func TestSixteenForeignAncestorsStayAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	full := policy("full")
	for i := range 16 {
		full.Status.Ancestors = append(full.Status.Ancestors, ancestor(stranger, fmt.Sprintf("g%d", i)))
	}
	server.Put(full, policy("free"))
	s := open(t, server).run()
	s.Put(report.Set{
		policyKey("full"): policyReport(metav1.ConditionTrue, "VerificationSkipped"),
		policyKey("free"): policyReport(metav1.ConditionFalse, "Strict"),
	})
	live := policy("free")
	await(t, "the other policy is written", func() bool { return server.Get(live) && len(live.Status.Ancestors) == 1 })
	s.settled()
	if writes := s.writes(); len(writes) != 1 {
		t.Errorf("%d writes, want one", len(writes))
	}
	// A slot becomes free.
	server.Get(full)
	full.Status.Ancestors = full.Status.Ancestors[1:]
	server.Put(full)
	await(t, "the free slot is taken", func() bool {
		return server.Get(full) && len(full.Status.Ancestors) == 16 &&
			full.Status.Ancestors[15].ControllerName == gwapi.ControllerName
	})
}
