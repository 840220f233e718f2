package xds

import (
	"fmt"
	"slices"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

// direct is a stream without a wire: requests are handled and responses made
// by whoever holds it.
type direct struct {
	*stream
	tb testing.TB
}

func newDirect(tb testing.TB) (*Server, direct) {
	tb.Helper()
	server, err := New(Config{Authenticator: &sockets{}, Credentials: UnixCredentials()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Stop)
	st := server.attach(Peer{Gateway: web, Name: "envoy-1"})
	st.gateway.published = true
	return server, direct{stream: st, tb: tb}
}

func (d direct) say(request *discoveryv3.DeltaDiscoveryRequest) {
	d.tb.Helper()
	if err := d.handle(request); err != nil {
		d.tb.Fatal(err)
	}
}

func (d direct) subscribe(k kind, names ...string) {
	d.tb.Helper()
	d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.typeURL(), ResourceNamesSubscribe: names})
}

func (d direct) unsubscribe(k kind, names ...string) {
	d.tb.Helper()
	d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.typeURL(), ResourceNamesUnsubscribe: names})
}

// hear makes and acknowledges everything that is due, and returns it as
// "+name" and "-name".
func (d direct) hear() []string {
	d.tb.Helper()
	heard := []string{}
	for {
		response, _ := d.next()
		if response == nil {
			return heard
		}
		for _, resource := range response.GetResources() {
			heard = append(heard, "+"+resource.GetName())
		}
		for _, name := range response.GetRemovedResources() {
			heard = append(heard, "-"+name)
		}
		d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
	}
}

func (d direct) expect(what string, want ...string) {
	d.tb.Helper()
	if got := d.hear(); !slices.Equal(got, want) {
		d.tb.Errorf("%s: heard %v, want %v", what, got, want)
	}
}

func TestASubscriptionByNameFollowsTheProtocol(t *testing.T) {
	s, d := newDirect(t)
	d.subscribe(assignments, "a", "b")
	d.expect("nothing is there")
	s.SetEndpoints(web, assignment("a", 1))
	s.SetEndpoints(web, assignment("c", 1))
	d.expect("one that was asked for", "+a")
	s.SetEndpoints(web, assignment("a", 1))
	d.expect("the same again")
	s.SetEndpoints(web, assignment("a", 2))
	d.expect("another", "+a")
	d.subscribe(assignments, "a")
	d.expect("asked for again, it may have been dropped", "+a")
	d.unsubscribe(assignments, "a", "never")
	s.SetEndpoints(web, assignment("a", 3))
	d.expect("not asked for any more")
	d.subscribe(assignments, "a", "c")
	if got := d.hear(); len(got) != 2 {
		t.Errorf("heard %v, want a and c", got)
	}
	d.subscribe(assignments, everything)
	s.SetEndpoints(web, assignment("z", 1))
	d.expect("endpoints have no wildcard")
}

func TestASubscriptionToEverythingFollowsTheProtocol(t *testing.T) {
	for name, first := range map[string][]string{"by no name": nil, "by a star": {everything}} {
		t.Run(name, func(t *testing.T) {
			_, d := newDirect(t)
			set := func(name, stat string) {
				made, err := newItem(clusters, name, &clusterv3.Cluster{Name: name, AltStatName: stat})
				if err != nil {
					t.Fatal(err)
				}
				d.gateway.caches[clusters].set(made)
			}
			d.subscribe(clusters, first...)
			response, _ := d.next()
			if response == nil || len(response.GetResources()) != 0 {
				t.Fatalf("the first request was answered by %v, want an empty response", response)
			}
			d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: clusters.typeURL(), ResponseNonce: response.GetNonce()})
			d.expect("an empty response is no news")
			set("a", "1")
			set("b", "1")
			d.expect("all", "+a", "+b")
			d.subscribe(clusters, "a", everything)
			d.expect("by name too, which sends it again", "+a")
			d.unsubscribe(clusters, "a")
			d.expect("it is still one of all, which must be said", "+a")
			d.subscribe(clusters, "b")
			d.expect("by name too", "+b")
			d.unsubscribe(clusters, everything)
			set("a", "2")
			set("b", "2")
			d.expect("only by name", "+b")
			d.gateway.caches[clusters].remove("b")
			d.expect("its end", "-b")
			d.subscribe(clusters, everything)
			d.expect("all again", "+a")
		})
	}
}

func TestANonceThatIsNotOutstandingIsNoAnswer(t *testing.T) {
	s, d := newDirect(t)
	s.SetEndpoints(web, assignment("a", 1))
	d.subscribe(assignments, "a")
	response, _ := d.next()
	for _, nonce := range []string{"", "0", "99", "x"} {
		d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: assignments.typeURL(), ResponseNonce: nonce})
	}
	if d.subscriptions[assignments].idle() {
		t.Error("a wrong nonce counted as an answer")
	}
	d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: assignments.typeURL(), ResponseNonce: response.GetNonce()})
	if !d.subscriptions[assignments].idle() {
		t.Error("the right nonce did not count")
	}
}

func TestOnlySoManyResponsesWaitForTheirAnswer(t *testing.T) {
	s, d := newDirect(t)
	d.subscribe(assignments, "a")
	nonces := []string{}
	for i := range window + 10 {
		s.SetEndpoints(web, assignment("a", uint32(i+1)))
		if response, _ := d.next(); response != nil {
			nonces = append(nonces, response.GetNonce())
		}
	}
	if len(nonces) != window {
		t.Fatalf("%d responses are on their way, want %d", len(nonces), window)
	}
	d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: assignments.typeURL(), ResponseNonce: nonces[0]})
	d.expect("what became of it meanwhile", "+a")
}

func TestRouteConfigurationsAndSecretsAreSentOneByOne(t *testing.T) {
	_, d := newDirect(t)
	d.past = true
	for _, name := range []string{"a", "b", "c"} {
		made, err := newItem(routes, name, routing(name))
		if err != nil {
			t.Fatal(err)
		}
		d.gateway.caches[routes].set(made)
	}
	d.subscribe(routes, "a", "b", "c")
	sent := []string{}
	for {
		response, _ := d.next()
		if response == nil {
			break
		}
		if len(response.GetResources()) != 1 {
			t.Errorf("a response has %d resources", len(response.GetResources()))
		}
		sent = append(sent, response.GetResources()[0].GetName())
		if d.subscriptions[routes].position() != 0 {
			t.Errorf("the position moved to %d before any answer", d.subscriptions[routes].position())
		}
	}
	slices.Sort(sent)
	if !slices.Equal(sent, []string{"a", "b", "c"}) {
		t.Errorf("sent %v", sent)
	}
}

func TestTheAssignmentOfAClusterReplacedInPlaceIsSentAgain(t *testing.T) {
	h := newHarness(t)
	h.SetEndpoints(web, assignment(oldAPI, 1))
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.await("endpoints", func() bool { return c.have[assignments][oldAPI] != nil })
	before, sent := c.count(assignments), c.count(clusters)
	replaced := func(share, stat string) Publication {
		p := serving(shares(share), oldAPI)
		p.Resources.Clusters[oldAPI] = envoy.Cluster{
			Cluster: &clusterv3.Cluster{Name: oldAPI, AltStatName: stat}, Held: model.HeldCluster{Policy: policy},
		}
		return p
	}
	h.Publish(web, replaced("2", "two"))
	h.eventually("another response with clusters", func() bool { return c.count(clusters) > sent })
	c.await("the endpoints once more", func() bool { return c.last(assignments) > c.last(clusters) })
	h.eventually("settlement", h.settledTo(policy, "2"))
	if got := c.count(assignments); got != before+1 {
		t.Errorf("%d more responses with endpoints, want one", got-before)
	}
	// The same on a stream that comes with the cluster of before.
	c.stop()
	h.eventually("the end of the stream", func() bool { return !ledger(t, h.Server, web, "envoy-1").Connected })
	h.Publish(web, replaced("3", "three"))
	again := h.connect(web, "envoy-1", from(c))
	again.await("the endpoints once more", func() bool { return again.last(assignments) > again.last(clusters) })
}

// last is the index of the last response of the kind that has resources, -1
// without.
func (c *client) last(k kind) int {
	for i, response := range slices.Backward(c.received) {
		if response.GetTypeUrl() == k.typeURL() && len(response.GetResources()) > 0 {
			return i
		}
	}
	return -1
}

func TestEndpointsSetForThePublicationToComeSurviveTheOneUnderWay(t *testing.T) {
	h := newHarness(t)
	h.SetEndpoints(web, assignment(oldAPI, 1))
	h.SetEndpoints(web, assignment(thePay, 1))
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.judgeBy(holding(clusters))
	h.Publish(web, serving(shares("2"), thePay))
	c.await("the removal", func() bool { return len(c.held) > 0 })
	// While the removal of oldAPI waits for its ACK, oldAPI is wanted again.
	h.SetEndpoints(web, assignment(oldAPI, 2))
	h.SetEndpoints(web, assignment(newAPI, 2))
	c.release()
	h.eventually("settlement", h.settledTo(policy, "2"))
	h.Publish(web, serving(shares("3"), oldAPI, newAPI))
	c.awaitHas(oldAPI, newAPI)
	c.await("their endpoints", func() bool {
		return c.have[assignments][oldAPI] != nil && c.have[assignments][newAPI] != nil
	})
	h.eventually("settlement", h.settledTo(policy, "3"))
	h.Publish(web, serving(shares("4"), newAPI))
	h.eventually("the end of what is not wanted", func() bool {
		_, names := inCache(h, assignments)
		return slices.Equal(names, []string{newAPI})
	})
	c.check()
}

// subscribed is a stream that asked for, and has, the assignments of that many
// Services.
func subscribed(tb testing.TB, services int) (*Server, direct) {
	tb.Helper()
	s, d := newDirect(tb)
	names := make([]string, services)
	for i := range names {
		names[i] = fmt.Sprintf("shop/s%d/443/0123456789abcdef", i)
		s.SetEndpoints(web, assignment(names[i], 1))
	}
	d.subscribe(assignments, names...)
	if got := len(d.hear()); got != services {
		tb.Fatalf("%d assignments were sent, want %d", got, services)
	}
	return s, d
}

// change sets the endpoints of one Service, sends them and takes the ACK.
func change(tb testing.TB, s *Server, d direct, port int) {
	s.SetEndpoints(web, assignment("shop/s50/443/0123456789abcdef", uint32(port%60000+2)))
	response, _ := d.next()
	if len(response.GetResources()) != 1 {
		tb.Fatalf("one change sent %d resources", len(response.GetResources()))
	}
	d.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
	if again, _ := d.next(); again != nil {
		tb.Fatal("an ACK was answered")
	}
}

// BenchmarkSetEndpoints is one endpoint change from the call to the ACK, with
// one Envoy that is subscribed to every Service.
func BenchmarkSetEndpoints(b *testing.B) {
	for _, services := range []int{100, 5000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			s, d := subscribed(b, services)
			b.ReportAllocs()
			port := 0
			for b.Loop() {
				change(b, s, d, port)
				port++
			}
		})
	}
}

func TestAnEndpointChangeCostsTheSameWhateverTheNumberOfServices(t *testing.T) {
	const few, many = 100, 50_000
	cost := map[int]time.Duration{}
	allocations := map[int]float64{}
	for _, services := range []int{few, many} {
		s, d := subscribed(t, services)
		port := 0
		allocations[services] = testing.AllocsPerRun(100, func() { change(t, s, d, port); port++ })
		// The best of several runs: the machine may be busy, never too fast.
		cost[services] = time.Hour
		for run := 0; run < 20 || run < 2000 && cost[services] > 5*cost[few]; run++ {
			begun := time.Now()
			for range 50 {
				change(t, s, d, port)
				port++
			}
			cost[services] = min(cost[services], time.Since(begun)/50)
		}
	}
	t.Logf("a change costs %v and %v allocations", cost, allocations)
	if allocations[many] > allocations[few]+1 {
		t.Errorf("a change allocates %v times at %d Services, %v at %d", allocations[many], many, allocations[few], few)
	}
	if cost[many] > 5*cost[few] {
		t.Errorf("a change takes %s at %d Services, %s at %d", cost[many], many, cost[few], few)
	}
}
