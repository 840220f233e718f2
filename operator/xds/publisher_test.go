package xds

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

func TestOf300PairsInABurstNoRouteArrivesBeforeItsCluster(t *testing.T) {
	const pairs = 300
	h := newHarness(t)
	h.Publish(web, serving(shares("0")))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes()
	var names []string
	for i := range pairs {
		names = append(names, fmt.Sprintf("shop/s%d/443/x", i))
		h.SetEndpoints(web, assignment(names[i], 1))
		h.Publish(web, serving(shares(fmt.Sprint(i+1)), names...))
	}
	c.awaitRoutes(names...)
	c.check()
	pushes := c.count(routes)
	t.Logf("%d publications became %d route configurations and %d CDS responses", pairs, pushes, c.count(clusters))
	if pushes > pairs/2 {
		t.Errorf("%d publications became %d route configurations, want them to coalesce", pairs, pushes)
	}
	c.await("all endpoints", func() bool { return len(c.have[assignments]) == pairs })
}

func TestAStreamWaitsForTheFirstPublication(t *testing.T) {
	h := newHarness(t)
	h.SetEndpoints(web, assignment(oldAPI, 1))
	c := h.connect(web, "envoy-1")
	h.eventually("the connection", func() bool { return len(h.Envoys()[web]) == 1 })
	if n := c.count(clusters) + c.count(listeners); n != 0 {
		t.Errorf("%d responses came before anything was published", n)
	}
	h.Publish(web, serving(shares("1"), oldAPI))
	c.awaitRoutes(oldAPI)
	c.await("endpoints", func() bool { return c.have[assignments][oldAPI] != nil })
	c.check()
}

func TestAClusterGoesWhenItsSuccessorAndTheRoutesToItAreAcknowledged(t *testing.T) {
	h := newHarness(t)
	h.SetEndpoints(web, assignment(oldAPI, 1))
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI)
	h.SetEndpoints(web, assignment(newAPI, 1))
	h.Publish(web, serving(shares("2"), newAPI))
	c.awaitHas(newAPI)
	c.awaitRoutes(newAPI)
	c.check()

	var steps []string
	c.mu.Lock()
	for _, response := range c.received {
		k, _ := kindOf(response.GetTypeUrl())
		if k != clusters && k != routes {
			continue
		}
		for _, resource := range response.GetResources() {
			steps = append(steps, "+"+resource.GetName())
		}
		for _, name := range response.GetRemovedResources() {
			steps = append(steps, "-"+name)
		}
	}
	c.mu.Unlock()
	want := []string{"+" + oldAPI, "+" + thePort, "+" + newAPI, "+" + thePort, "-" + oldAPI}
	if !slices.Equal(steps, want) {
		t.Errorf("the steps were %v, want %v", steps, want)
	}
	h.eventually("the end of the old endpoints", func() bool {
		_, names := inCache(h, assignments)
		return slices.Equal(names, []string{newAPI})
	})
}

// inCache is what is served under web.
func inCache(h *harness, k kind) (items map[string]*item, names []string) {
	h.Server.mu.Lock()
	g := h.gateways[web]
	h.Server.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	items = maps.Clone(g.caches[k].items)
	return items, slices.Sorted(maps.Keys(items))
}

func TestAReconnectWithWhatItHasIsSentNothing(t *testing.T) {
	h := newHarness(t)
	h.SetEndpoints(web, assignment(oldAPI, 1))
	h.SetEndpoints(web, assignment(thePay, 1))
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI, thePay)
	c.await("endpoints", func() bool { return len(c.have[assignments]) == 2 })
	settled := h.settledTo(policy, "1")
	h.eventually("settlement", settled)
	c.stop()
	h.eventually("the end of the stream", func() bool { return !ledger(t, h.Server, web, "envoy-1").Connected })
	if e := ledger(t, h.Server, web, "envoy-1"); heldNames(e) != "[shop/api/443/old shop/pay/443/pay]" {
		t.Errorf("a disconnected Envoy holds %s, want what it had", heldNames(e))
	}

	again := h.connect(web, "envoy-1", from(c))
	// What changes afterwards arrives, and is all that arrives.
	h.SetEndpoints(web, assignment(oldAPI, 2))
	again.await("the new endpoints", func() bool {
		return again.have[assignments][oldAPI].GetVersion() != c.have[assignments][oldAPI].GetVersion()
	})
	sent := 0
	again.mu.Lock()
	for _, response := range again.received {
		sent += len(response.GetResources()) + len(response.GetRemovedResources())
	}
	again.mu.Unlock()
	if sent != 1 {
		t.Errorf("%d resources were sent, want the one that changed", sent)
	}
	if !settled() {
		t.Error("the reconnect unsettled what the Envoy still has")
	}
}

func TestAReconnectAfterAChangeIsSentTheDifference(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI, thePay)
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.stop()
	h.eventually("the end of the stream", func() bool { return !ledger(t, h.Server, web, "envoy-1").Connected })
	h.Publish(web, serving(shares("2"), newAPI, thePay))
	h.eventually("the publication", func() bool {
		_, names := inCache(h, clusters)
		return slices.Equal(names, []string{newAPI, thePay})
	})
	e := ledger(t, h.Server, web, "envoy-1")
	if e.Settled[policy] != "" || e.Settled[rival] != "same" {
		t.Errorf("settled %v, want only what did not change", e.Settled)
	}
	again := h.connect(web, "envoy-1", from(c))
	again.awaitHas(newAPI, thePay)
	again.awaitRoutes(newAPI, thePay)
	again.check()
	h.eventually("settlement", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return e.Settled[policy] == "2" && heldNames(e) == "[shop/api/443/new shop/pay/443/pay]"
	})
}

func TestAnEnvoyThatStartsAnewIsNotSettledByWhatItsPredecessorHad(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	h.connect(web, "envoy-1").awaitRoutes(oldAPI)
	h.eventually("settlement", h.settledTo(web, "1"))
	c := h.connect(web, "envoy-1", judging(holding(clusters)))
	c.await("clusters", func() bool { return len(c.held) > 0 })
	if e := ledger(t, h.Server, web, "envoy-1"); len(e.Settled) != 0 || heldNames(e) != "[shop/api/443/old]" {
		t.Errorf("settled %v, held %s", e.Settled, heldNames(e))
	}
	c.release()
	h.eventually("settlement", h.settledTo(web, "1"))
}

// holding neither accepts nor refuses responses of the kind.
func holding(held kind) func(kind, *discoveryv3.DeltaDiscoveryResponse) error {
	return func(k kind, _ *discoveryv3.DeltaDiscoveryResponse) error {
		if k == held {
			return errHold
		}
		return nil
	}
}

func TestANewerStreamOfAnEnvoyReplacesTheOlder(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	first := h.connect(web, "envoy-1")
	first.awaitRoutes(oldAPI)
	second := h.connect(web, "envoy-1")
	if err := first.awaitEnd(); status.Code(err) != codes.Aborted {
		t.Errorf("the first ended with %v, want Aborted", err)
	}
	second.awaitRoutes(oldAPI)
	if e := ledger(t, h.Server, web, "envoy-1"); !e.Connected {
		t.Error("the Envoy counts as disconnected")
	}
}

// halfway waits until the client has the first publication, and publishes the
// second, whose cluster it takes and does not acknowledge.
func (h *harness) halfway(c *client) {
	h.t.Helper()
	c.awaitRoutes(oldAPI)
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.mu.Lock()
	c.judge = holding(clusters)
	c.mu.Unlock()
	h.Publish(web, serving(shares("2"), newAPI))
	c.await("the new cluster", func() bool { return len(c.held) == 1 })
}

func TestAClusterIsHeldFromTheResponseToTheAckOfItsRemoval(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1")
	h.halfway(c)
	e := ledger(t, h.Server, web, "envoy-1")
	if heldNames(e) != "[shop/api/443/new shop/api/443/old]" || e.Settled[policy] != "" || e.Settled[rival] != "same" {
		t.Errorf("held %s, settled %v before the ACK", heldNames(e), e.Settled)
	}
	// The phases go on without the ACK, and the removal is sent. Only its ACK
	// ends the holding.
	c.await("the removal", func() bool { return len(c.held) == 2 })
	if e := ledger(t, h.Server, web, "envoy-1"); heldNames(e) != "[shop/api/443/new shop/api/443/old]" {
		t.Errorf("held %s before the ACK of the removal", heldNames(e))
	}
	if e := ledger(t, h.Server, web, "envoy-1"); e.Settled[policy] != "" {
		t.Errorf("settled %v before the ACKs", e.Settled)
	}
	c.release()
	h.eventually("late settlement", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return heldNames(e) == "[shop/api/443/new]" && e.Settled[policy] == "2"
	})
}

func TestAShareThatReturnsToAnEarlierValueIsNotSettledMeanwhile(t *testing.T) {
	h := newHarness(t)
	strict, loose := shares("strict"), shares("loose")
	h.Publish(web, serving(strict, oldAPI))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "strict"))
	c.mu.Lock()
	c.judge = holding(routes)
	c.mu.Unlock()
	h.Publish(web, serving(loose, newAPI))
	c.await("loose routes", func() bool { return len(c.held) == 1 })
	h.Publish(web, serving(strict, oldAPI))
	c.await("strict routes", func() bool { return len(c.held) == 2 })
	if e := ledger(t, h.Server, web, "envoy-1"); e.Settled[policy] != "" {
		t.Errorf("settled %q while the loose routes are there", e.Settled[policy])
	}
	c.release()
	h.eventually("settlement", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return e.Settled[policy] == "strict" && heldNames(e) == "[shop/api/443/old]"
	})
}

func TestWhatAnEnvoySaysItHasIsHeldAfterARestartOfTheOperator(t *testing.T) {
	before := newHarness(t)
	before.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := before.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI, thePay)
	before.Stop()
	_ = c.awaitEnd()

	h := newHarness(t)
	h.Publish(web, serving(shares("1"), thePay))
	again := h.connect(web, "envoy-1", from(c), judging(holding(clusters)))
	again.await("the removal", func() bool { return len(again.held) == 1 })
	e := ledger(t, h.Server, web, "envoy-1")
	if heldNames(e) != "[shop/api/443/old shop/pay/443/pay]" {
		t.Fatalf("holds %s", heldNames(e))
	}
	if unknown := e.Held[0]; unknown.Policy != (gwapi.Key{}) || unknown.Mode != "" {
		t.Errorf("of a cluster nobody knows it is said %+v", unknown)
	}
	if known := e.Held[1]; known.Policy != rival || known.Mode != model.Standard {
		t.Errorf("of a known cluster it is said %+v", known)
	}
	again.release()
	again.awaitHas(thePay)
	h.eventually("the end of the holding", func() bool {
		return heldNames(ledger(t, h.Server, web, "envoy-1")) == "[shop/pay/443/pay]"
	})
}

func TestWithdrawRemovesAtOnceAndLeavesTraffic(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI, thePay)
	h.eventually("settlement", h.settledTo(policy, "1"))
	h.Withdraw(web, func(name string) bool { return name == thePay })
	c.awaitHas(thePay)
	c.awaitRoutes(oldAPI, thePay)
	h.eventually("the ledger", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return heldNames(e) == "[shop/pay/443/pay]" && e.Settled[policy] == "" && e.Settled[rival] == "same"
	})
	h.Publish(web, serving(shares("2"), newAPI, thePay))
	c.awaitRoutes(newAPI, thePay)
	c.check()
}

// In time of its own: the routes follow their cluster after 300 ms in any case.
func TestWithdrawEndsThePublicationUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(t)
		h.Publish(web, serving(shares("1"), oldAPI))
		c := h.connect(web, "envoy-1")
		h.halfway(c)
		h.Withdraw(web, func(string) bool { return false })
		c.release()
		c.awaitHas()
		c.awaitRoutes(oldAPI)
		if e := ledger(t, h.Server, web, "envoy-1"); e.Settled[policy] != "" {
			t.Errorf("settled %v", e.Settled)
		}
		h.Withdraw(other, func(string) bool { return false })
		if len(h.Envoys()[other]) != 0 {
			t.Error("a withdrawal made an entry")
		}
	})
}

func TestForgetEndsTheStreamsOfTheGateway(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	h.Publish(other, serving(shares("1"), thePay))
	c, neighbour := h.connect(web, "envoy-1"), h.connect(other, "envoy-2")
	c.awaitRoutes(oldAPI)
	neighbour.awaitRoutes(thePay)
	h.Forget(web)
	if err := c.awaitEnd(); status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v, want Unavailable", err)
	}
	if len(h.Envoys()[web]) != 0 || len(h.Envoys()[other]) != 1 {
		t.Errorf("the ledger is %v", h.Envoys())
	}
	// An Envoy that outlives its Gateway is told nothing, and leaves nothing.
	late := h.connect(web, "envoy-1")
	h.eventually("the late stream", func() bool { return len(h.Envoys()[web]) == 1 })
	h.Gone(web, "envoy-1")
	if err := late.awaitEnd(); status.Code(err) != codes.Aborted {
		t.Errorf("ended with %v, want Aborted", err)
	}
	h.Server.mu.Lock()
	defer h.Server.mu.Unlock()
	if h.gateways[web] != nil {
		t.Error("the entry of the Gateway stayed")
	}
}

func TestAnEnvoyThatIsGoneHoldsNothing(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI)
	c.stop()
	h.eventually("the end of the stream", func() bool { return !ledger(t, h.Server, web, "envoy-1").Connected })
	h.Gone(web, "envoy-1")
	h.Gone(web, "envoy-1")
	h.Gone(other, "envoy-1")
	if len(h.Envoys()) != 0 {
		t.Errorf("the ledger is %v", h.Envoys())
	}
	h.Publish(web, serving(shares("2"), newAPI))
	h.connect(web, "envoy-2").awaitRoutes(newAPI)
}

func TestTheTimeToLiveIsThatOfTheResponseAndRenewed(t *testing.T) {
	h := newHarness(t)
	lapses := time.Now().Add(time.Hour)
	publish := func(share string, until time.Time) {
		w := newWorld(shares(share))
		w.cluster(oldAPI, skipping(until))
		h.Publish(web, w.done())
	}
	ttl := func(c *client) time.Duration {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.have[clusters][oldAPI].GetTtl().AsDuration()
	}
	near := func(got, want time.Duration) bool { return got <= want && got > want-20*time.Second }
	publish("1", lapses)
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI)
	if got := ttl(c); !near(got, time.Hour) {
		t.Errorf("the time to live is %s, want almost an hour", got)
	}
	if held := ledger(t, h.Server, web, "envoy-1").Held[0]; !held.Lapses.Equal(lapses) {
		t.Errorf("holds %+v, want the lapse at %s", held, lapses)
	}
	publish("2", lapses.Add(time.Hour))
	c.await("a renewal", func() bool { return c.have[clusters][oldAPI].GetTtl().AsDuration() > time.Hour })
	if got := ttl(c); !near(got, 2*time.Hour) {
		t.Errorf("the renewed time to live is %s, want almost two hours", got)
	}
	// A second Envoy gets what is left, one that comes too late gets nothing.
	if late := h.connect(web, "envoy-2"); true {
		late.awaitHas(oldAPI)
		if got := ttl(late); !near(got, 2*time.Hour) {
			t.Errorf("the time to live of a later response is %s", got)
		}
	}
	publish("3", time.Time{})
	c.await("no time to live", func() bool { return c.have[clusters][oldAPI].GetTtl() == nil })
	h.eventually("the ledger", func() bool { return ledger(t, h.Server, web, "envoy-1").Held[0].Lapses.IsZero() })

	publish("4", time.Now().Add(-time.Second))
	c.awaitHas()
	c.awaitRoutes(oldAPI)
	if late := h.connect(web, "envoy-3"); true {
		late.awaitRoutes(oldAPI)
		late.awaitHas()
	}
}

func TestAClusterThatLapsedIsNotHeldASecondLater(t *testing.T) {
	now := time.Now()
	r := newRecord("envoy-1")
	r.held[oldAPI] = skipping(now)
	for after, want := range map[time.Duration]int{
		-time.Hour: 1, 0: 1, time.Second: 1, time.Second + time.Millisecond: 0, time.Hour: 0,
	} {
		if got := len(r.report(now.Add(after), nil).Held); got != want {
			t.Errorf("%s after the lapse %d are held, want %d", after, got, want)
		}
	}
}
