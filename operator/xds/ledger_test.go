package xds

import (
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/backendtls/backendtls/internal/model"
)

// serve puts a cluster into the cache, as the publisher does.
func (d direct) serve(name, stat string, held model.HeldCluster) {
	d.tb.Helper()
	made, err := newCluster(name, &clusterv3.Cluster{Name: name, AltStatName: stat}, held)
	if err != nil {
		d.tb.Fatal(err)
	}
	d.gateway.caches[clusters].set(made)
}

// answer acknowledges a response, or refuses it in those words.
func (d direct) answer(response *discoveryv3.DeltaDiscoveryResponse, words string) {
	d.tb.Helper()
	request := &discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(),
	}
	if words != "" {
		request.ErrorDetail = &rpcstatus.Status{Message: words}
	}
	d.say(request)
}

// send makes the next response, of which there must be one.
func (d direct) send() *discoveryv3.DeltaDiscoveryResponse {
	d.tb.Helper()
	response, _ := d.next()
	if response == nil {
		d.tb.Fatal("there is nothing to send")
	}
	return response
}

func TestTheLatestLapseOnItsWayCountsUntilTheAck(t *testing.T) {
	_, d := newDirect(t)
	early, late := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	lapses := func(what string, want time.Time) {
		t.Helper()
		if got := d.record.held[oldAPI].Lapses; !got.Equal(want) {
			t.Errorf("%s: lapses at %s, want %s", what, got, want)
		}
	}
	d.subscribe(clusters)
	d.serve(oldAPI, "", skipping(early))
	d.hear()
	lapses("acknowledged", early)
	d.serve(oldAPI, "", skipping(late))
	renewal := d.send()
	lapses("a later one on its way", late)
	d.answer(renewal, "")
	d.serve(oldAPI, "", skipping(early))
	cut := d.send()
	lapses("an earlier one on its way", late)
	d.serve(oldAPI, "", skipping(time.Time{}))
	never := d.send()
	lapses("none on its way", time.Time{})
	d.answer(cut, "")
	lapses("the ACK of what is not the last", time.Time{})
	d.answer(never, "")
	lapses("acknowledged that it never lapses", time.Time{})
}

func TestTheLapseOfARefusedResponseIsNotBelieved(t *testing.T) {
	_, d := newDirect(t)
	lapses := time.Now().Add(time.Hour)
	d.subscribe(clusters)
	d.hear()
	d.serve(oldAPI, "", skipping(lapses))
	d.serve(thePay, "", model.HeldCluster{Policy: rival})
	d.answer(d.send(), "cannot add "+thePay)
	if got := d.record.held[oldAPI].Lapses; !got.IsZero() {
		t.Errorf("lapses at %s although Envoy may not have started its timer", got)
	}
	d.expect("the rest once more, and the end of what was refused", "+"+oldAPI, "-"+thePay)
	if got := d.record.held[oldAPI].Lapses; !got.Equal(lapses) {
		t.Errorf("lapses at %s, want %s", got, lapses)
	}
}

func TestARefusalTakesThePositionBackUntilTheRestIsAcknowledged(t *testing.T) {
	_, d := newDirect(t)
	c := d.gateway.caches[clusters]
	d.subscribe(clusters)
	d.serve(oldAPI, "", model.HeldCluster{})
	d.hear()
	before := c.changes
	c.remove(oldAPI)
	d.serve(newAPI, "", model.HeldCluster{})
	target := c.changes
	d.answer(d.send(), "cannot add "+newAPI)
	if got := d.subscriptions[clusters].position(); got != before {
		t.Errorf("the position is %d, want %d", got, before)
	}
	again := d.send()
	if got := d.subscriptions[clusters].position(); got >= target {
		t.Errorf("the position is %d while the removal waits for its ACK", got)
	}
	d.answer(again, "")
	if got := d.subscriptions[clusters].position(); got < target {
		t.Errorf("the position is %d, want at least %d", got, target)
	}
	if len(d.record.held) != 0 {
		t.Errorf("holds %v", d.record.held)
	}
}

func TestANameAskedForLateTakesThePositionBack(t *testing.T) {
	_, d := newDirect(t)
	d.past = true
	c := d.gateway.caches[routes]
	for _, name := range []string{"late", "early"} {
		made, err := newItem(routes, name, routing(name))
		if err != nil {
			t.Fatal(err)
		}
		c.set(made)
	}
	d.subscribe(routes, "early")
	d.hear()
	d.subscribe(routes, "late")
	response := d.send()
	if got := d.subscriptions[routes].position(); got != 0 {
		t.Errorf("the position is %d while the first of that name waits for its ACK", got)
	}
	d.answer(response, "")
	if got := d.subscriptions[routes].position(); got != c.changes {
		t.Errorf("the position is %d, want %d", got, c.changes)
	}
}

func TestTheAssignmentIsSentAgainAlsoIfItIsAskedForAfterItsClusterWasReplaced(t *testing.T) {
	s, d := newDirect(t)
	s.SetEndpoints(web, assignment(oldAPI, 1))
	d.serve(oldAPI, "new", model.HeldCluster{})
	d.say(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: clusters.typeURL(), InitialResourceVersions: map[string]string{oldAPI: "another", thePay: "old"},
	})
	d.expect("the cluster", "+"+oldAPI, "-"+thePay)
	current := d.gateway.caches[assignments].items[oldAPI].version
	d.say(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: assignments.typeURL(), ResourceNamesSubscribe: []string{oldAPI},
		InitialResourceVersions: map[string]string{oldAPI: current},
	})
	d.expect("its endpoints, which the client has", "+"+oldAPI)
}

func TestAnEnvoyHasNotSettledBeforeItAskedForTheRoutesOfItsListener(t *testing.T) {
	_, d := newDirect(t)
	d.past = true
	g := d.gateway
	made, err := newListener(thePort, listener(thePort, ""))
	if err != nil {
		t.Fatal(err)
	}
	g.caches[listeners].set(made)
	g.goal = &goal{number: 1, shares: shares("1"), targets: g.positions()}
	d.subscribe(clusters)
	d.subscribe(routes, "another")
	d.subscribe(listeners)
	d.hear()
	if len(d.record.settled) > 0 {
		t.Error("settled without the routes of a listener")
	}
	d.subscribe(routes, thePort)
	made, err = newItem(routes, thePort, routing(thePort))
	if err != nil {
		t.Fatal(err)
	}
	g.caches[routes].set(made)
	d.hear()
	if d.record.settled[policy] != "1" {
		t.Errorf("settled %v", d.record.settled)
	}
}

func TestRoutesAreNotSentWhileClustersWaitForTheirTurn(t *testing.T) {
	_, d := newDirect(t)
	d.past = true
	d.subscribe(clusters)
	d.subscribe(routes, thePort)
	d.hear()
	var first *discoveryv3.DeltaDiscoveryResponse
	for i := range window {
		d.serve(oldAPI, string(rune('a'+i)), model.HeldCluster{})
		if response := d.send(); first == nil {
			first = response
		}
	}
	d.serve(newAPI, "", model.HeldCluster{})
	made, err := newItem(routes, thePort, routing(thePort, newAPI))
	if err != nil {
		t.Fatal(err)
	}
	d.gateway.caches[routes].set(made)
	if response, again := d.next(); response != nil || again == 0 {
		t.Errorf("%s was sent before the cluster it names", response.GetTypeUrl())
	}
	d.answer(first, "")
	d.expect("the cluster, then the route", "+"+newAPI, "+"+thePort)
}
