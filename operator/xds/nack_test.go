package xds

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

// refusing refuses a response that has this resource of the kind, in those
// words.
func refusing(k kind, name, words string) func(kind, *discoveryv3.DeltaDiscoveryResponse) error {
	return func(of kind, response *discoveryv3.DeltaDiscoveryResponse) error {
		for _, resource := range response.GetResources() {
			if of == k && resource.GetName() == name {
				return errors.New(words)
			}
		}
		return nil
	}
}

func (c *client) judgeBy(judge func(kind, *discoveryv3.DeltaDiscoveryResponse) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.judge = judge
}

func TestARefusedTighteningAnswers500OnTheOldAndOnANewStream(t *testing.T) {
	for name, words := range map[string]string{
		"named":   "Error adding/updating cluster(s) shop/api/443/new: Invalid base64-encoded SHA-256 x",
		"unnamed": "Proto constraint validation failed",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Publish(web, serving(shares("1"), oldAPI, thePay))
			c := h.connect(web, "envoy-1")
			h.eventually("settlement", h.settledTo(policy, "1"))
			c.judgeBy(refusing(clusters, newAPI, words))
			h.Publish(web, serving(shares("2"), newAPI, thePay))
			// Routes to a cluster that is not there answer 500, and the one that the
			// tightening was to replace is gone.
			c.awaitRoutes(newAPI, thePay)
			c.awaitHas(thePay)
			h.eventually("settlement", h.settledTo(web, "2"))
			e := ledger(t, h.Server, web, "envoy-1")
			want := model.Rejection{Type: "Cluster", Name: newAPI, Message: words}
			if !slices.Equal(e.Rejections, []model.Rejection{want}) {
				t.Errorf("the rejections are %v, want %v", e.Rejections, want)
			}
			if e.Settled[policy] != "" || e.Settled[rival] != "same" || e.Settled[route] != "2" {
				t.Errorf("settled %v, want all but the policy of the refused cluster", e.Settled)
			}
			h.eventually("the end of the holding", func() bool {
				return heldNames(ledger(t, h.Server, web, "envoy-1")) == "[shop/pay/443/pay]"
			})
			fresh := h.connect(web, "envoy-2")
			fresh.awaitRoutes(newAPI, thePay)
			fresh.awaitHas(thePay)

			// The same content stays out; other content is tried.
			h.Publish(web, serving(shares("3"), newAPI, thePay))
			h.eventually("settlement", h.settledTo(web, "3"))
			if n := c.timesSent(clusters, newAPI); n != 1 {
				t.Errorf("a refused cluster was sent %d times", n)
			}
			c.judgeBy(nil)
			changed := serving(shares("4"), newAPI, thePay)
			changed.Resources.Clusters[newAPI] = envoy.Cluster{
				Cluster: &clusterv3.Cluster{Name: newAPI, AltStatName: "other"},
				Held:    model.HeldCluster{Policy: policy},
			}
			h.Publish(web, changed)
			c.awaitHas(newAPI, thePay)
			h.eventually("settlement", h.settledTo(policy, "4"))
			if e := ledger(t, h.Server, web, "envoy-1"); len(e.Rejections) != 0 {
				t.Errorf("the rejections are %v", e.Rejections)
			}
		})
	}
}

func TestOnlyTheClusterThatEnvoyNamesIsWithdrawn(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1")))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	// The name of one is the end of the other's.
	const short, long = "a/s/1/x", "aa/s/1/x"
	c.judgeBy(refusing(clusters, long, "Error adding/updating cluster(s) "+long+": broken"))
	h.Publish(web, serving(shares("2"), short, long, thePay))
	c.awaitRoutes(short, long, thePay)
	c.awaitHas(short, thePay)
	h.eventually("the ledger", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return len(e.Rejections) == 1 && e.Rejections[0].Name == long && e.Settled[rival] == "same" &&
			heldNames(e) == "["+short+" "+thePay+"]"
	})
	// What was refused along with it was sent once more, so that its time to live
	// counts.
	if again := c.timesSent(clusters, thePay); again != 2 {
		t.Errorf("%s was sent %d times, want twice", thePay, again)
	}
}

func TestAPlaintextClusterThatIsRefusedStandsAgainstTheGateway(t *testing.T) {
	h := newHarness(t)
	w := newWorld(shares("1"))
	w.cluster(oldAPI, model.HeldCluster{})
	h.Publish(web, w.done())
	h.connect(web, "envoy-1", judging(refusing(clusters, oldAPI, theWords)))
	h.eventually("settlement", h.settledTo(policy, "1"))
	if e := ledger(t, h.Server, web, "envoy-1"); e.Settled[web] != "" {
		t.Errorf("settled %v, want all but the Gateway", e.Settled)
	}
}

func TestARefusalByOneEnvoyCountsForAll(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	good := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	bad := h.connect(web, "envoy-2", judging(refusing(clusters, oldAPI, "about "+oldAPI+".")))
	bad.awaitHas(thePay)
	good.awaitHas(thePay)
	h.eventually("unsettlement", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return e.Settled[policy] == "" && e.Settled[rival] == "same" && len(e.Rejections) == 0
	})
}

func TestARefusedRouteLeavesTheLastGoodOneButNoClusterOfIt(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.judgeBy(func(k kind, response *discoveryv3.DeltaDiscoveryResponse) error {
		if k == routes && !slices.Contains(c.targets(response.GetResources()[0]), oldAPI) {
			return errors.New("Only unique values for domains are permitted")
		}
		return nil
	})
	h.Publish(web, serving(shares("2"), newAPI, thePay))
	c.awaitHas(newAPI, thePay)
	c.awaitRoutes(oldAPI, thePay)
	h.eventually("the ledger", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return len(e.Rejections) == 1 && e.Rejections[0].Type == "RouteConfiguration" &&
			e.Rejections[0].Name == thePort && len(e.Settled) == 0
	})
	// A restarting Envoy gets what was good, and the clusters of now.
	fresh := h.connect(web, "envoy-2")
	fresh.awaitRoutes(oldAPI, thePay)
	fresh.awaitHas(newAPI, thePay)
	if e := ledger(t, h.Server, web, "envoy-2"); e.Settled[policy] == "2" {
		t.Errorf("settled %v with the routes of before", e.Settled)
	}
	// It stays refused until it changes.
	h.Publish(web, serving(shares("3"), newAPI, thePay))
	c.judgeBy(nil)
	h.Publish(web, serving(shares("4"), newAPI))
	c.awaitRoutes(newAPI)
	h.eventually("settlement", h.settledTo(policy, "4"))
	if e := ledger(t, h.Server, web, "envoy-1"); len(e.Rejections) != 0 {
		t.Errorf("the rejections are %v", e.Rejections)
	}
}

func TestARefusedListenerLeavesTheLastGoodOneAndItsRoutes(t *testing.T) {
	h := newHarness(t)
	first := serving(shares("1"), oldAPI)
	first.Resources.Secrets["tls"] = secret("tls", "one")
	h.Publish(web, first)
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.judgeBy(refusing(listeners, thePort, "cannot bind '127.0.0.1:8080': Address already in use"))
	second := serving(shares("2"), newAPI)
	second.Resources.Listeners[thePort] = listener(thePort, "renamed")
	delete(second.Resources.Routes, thePort)
	h.Publish(web, second)
	c.awaitHas(newAPI)
	h.eventually("the rejection", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return len(e.Rejections) == 1 && e.Rejections[0].Type == "Listener" && len(e.Settled) == 0
	})
	fresh := h.connect(web, "envoy-2")
	fresh.awaitRoutes(oldAPI)
	if _, names := inCache(h, secrets); !slices.Equal(names, []string{"tls"}) {
		t.Errorf("the secrets are %v, want those of the listener that is served", names)
	}
}

func TestAListenerThatWasNeverGoodIsTriedByEveryNewStream(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1", judging(refusing(listeners, thePort, theWords)))
	h.eventually("the rejection", func() bool {
		envoys := h.Envoys()[web]
		return len(envoys) == 1 && len(envoys[0].Rejections) == 1
	})
	c.stop()
	// One that takes it does not settle while the other stands by its refusal.
	next := h.connect(web, "envoy-2")
	next.awaitRoutes(oldAPI)
	if e := ledger(t, h.Server, web, "envoy-2"); len(e.Settled) > 0 {
		t.Errorf("settled %v", e.Settled)
	}
	h.Gone(web, "envoy-1")
	h.eventually("settlement", func() bool { return ledger(t, h.Server, web, "envoy-2").Settled[policy] == "1" })
}

func TestAnEnvoyThatTakesWhatItRefusedBeforeSettles(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	first := h.connect(web, "envoy-1", judging(refusing(listeners, thePort, theWords)))
	h.eventually("the rejection", func() bool {
		envoys := h.Envoys()[web]
		return len(envoys) == 1 && len(envoys[0].Rejections) == 1
	})
	h.connect(web, "envoy-1", from(first)).awaitRoutes(oldAPI)
	h.eventually("settlement", h.settledTo(policy, "1"))
	if e := ledger(t, h.Server, web, "envoy-1"); len(e.Rejections) > 0 {
		t.Errorf("the rejections are %v", e.Rejections)
	}
}

func TestARefusedSecretIsNotReplacedByAnEarlierOne(t *testing.T) {
	h := newHarness(t)
	publish := func(version string) {
		p := serving(shares(version), oldAPI)
		p.Resources.Secrets["tls"] = secret("tls", version)
		h.Publish(web, p)
	}
	publish("1")
	c := h.connect(web, "envoy-1")
	c.mu.Lock()
	c.ask(secrets, []string{"tls"})
	c.mu.Unlock()
	c.await("the secret", func() bool { return c.have[secrets]["tls"] != nil })
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.judgeBy(refusing(secrets, "tls", "Failed to load certificate chain"))
	publish("2")
	h.eventually("the rejection", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return len(e.Rejections) == 1 && e.Rejections[0].Type == "Secret" && len(e.Settled) == 0
	})
	made, err := newItem(secrets, "tls", secret("tls", "2"))
	if err != nil {
		t.Fatal(err)
	}
	if items, _ := inCache(h, secrets); items["tls"].version != made.version {
		t.Error("an earlier secret is served")
	}
}

func TestRefusedEndpointsAreReportedUntilEnvoyTakesSome(t *testing.T) {
	h := newHarness(t)
	h.SetEndpoints(web, assignment(oldAPI, 1))
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1", judging(refusing(assignments, oldAPI, theWords)))
	h.eventually("the rejection", func() bool {
		envoys := h.Envoys()[web]
		return len(envoys) == 1 && slices.Equal(envoys[0].Rejections,
			[]model.Rejection{{Type: "ClusterLoadAssignment", Name: oldAPI, Message: theWords}})
	})
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.judgeBy(nil)
	h.SetEndpoints(web, assignment(oldAPI, 2))
	h.eventually("the end of the rejection", func() bool {
		return len(ledger(t, h.Server, web, "envoy-1").Rejections) == 0
	})
}

func TestARefusedRemovalStartsTheStreamOver(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	c.judgeBy(func(_ kind, response *discoveryv3.DeltaDiscoveryResponse) error {
		if len(response.GetRemovedResources()) > 0 {
			return errors.New(theWords)
		}
		return nil
	})
	h.Publish(web, serving(shares("2"), newAPI))
	if err := c.awaitEnd(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("ended with %v, want InvalidArgument", err)
	}
	if e := ledger(t, h.Server, web, "envoy-1"); !strings.Contains(heldNames(e), oldAPI) {
		t.Errorf("holds %s, want the cluster whose removal was refused too", heldNames(e))
	}
	// A new stream removes it whether the client admits to it or not.
	fresh := h.connect(web, "envoy-1")
	fresh.awaitRoutes(newAPI)
	h.eventually("the end of the holding", func() bool {
		return heldNames(ledger(t, h.Server, web, "envoy-1")) == "[shop/api/443/new]"
	})
}

func TestAnInvalidResourceIsNotSentAndCountsAsRefused(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI, thePay))
	c := h.connect(web, "envoy-1")
	h.eventually("settlement", h.settledTo(policy, "1"))
	broken := serving(shares("2"), oldAPI, thePay)
	broken.Resources.Clusters[oldAPI] = envoy.Cluster{
		Cluster: &clusterv3.Cluster{Name: "another"}, Held: model.HeldCluster{Policy: policy},
	}
	h.Publish(web, broken)
	c.awaitHas(thePay)
	h.eventually("settlement", h.settledTo(rival, "same"))
	h.eventually("settlement", h.settledTo(web, "2"))
	e := ledger(t, h.Server, web, "envoy-1")
	if len(e.Rejections) != 1 || e.Rejections[0].Name != oldAPI || e.Settled[policy] != "" ||
		!strings.Contains(e.Rejections[0].Message, `"another" is published as`) {
		t.Errorf("rejections %v, settled %v", e.Rejections, e.Settled)
	}
	// An invalid route configuration leaves the one before.
	broken = serving(shares("3"), thePay)
	broken.Resources.Routes[thePort].VirtualHosts[0].Domains = nil
	h.Publish(web, broken)
	h.eventually("the rejection", func() bool {
		e := ledger(t, h.Server, web, "envoy-1")
		return len(e.Rejections) == 1 && e.Rejections[0].Type == "RouteConfiguration" && len(e.Settled) == 0
	})
	c.awaitRoutes(oldAPI, thePay)
	h.Publish(web, serving(shares("4"), thePay))
	h.eventually("settlement", h.settledTo(web, "4"))
	h.SetEndpoints(web, assignment("", 1))
}

func TestEnvoysWordsAreKeptShortAndReadable(t *testing.T) {
	for words, want := range map[string]string{
		"plain":                             "plain",
		"broken \xff":                       "broken ?",
		strings.Repeat("ä", maxWords):       strings.Repeat("ä", maxWords/2) + "...",
		"x" + strings.Repeat("ä", maxWords): "x" + strings.Repeat("ä", maxWords/2-1) + "...",
	} {
		if got := clip(words); got != want {
			t.Errorf("%.20q became %.20q (%d bytes), want %.20q (%d bytes)", words, got, len(got), want, len(want))
		}
	}
}

func TestANameIsMentionedOnlyAsAWhole(t *testing.T) {
	for _, test := range []struct {
		words, name string
		want        bool
	}{
		{"cluster a/b/1/x: bad", "a/b/1/x", true},
		{"a/b/1/x", "a/b/1/x", true},
		{"cluster aa/b/1/x: bad", "a/b/1/x", false},
		{"cluster a/b/1/xy, a/b/1/x.", "a/b/1/x", true},
		{"cluster a/b/1/xy", "a/b/1/x", false},
		{"", "a", false},
		{"aaa", "a", false},
	} {
		if got := mentions(test.words, test.name); got != test.want {
			t.Errorf("mentions(%q, %q) is %v", test.words, test.name, got)
		}
	}
	many := &response{sent: map[string]*item{}}
	for i := range 5 {
		many.sent[fmt.Sprintf("c%d", i)] = nil
	}
	if got := culprits(many, "c1 and c3"); len(got) != 2 || !got["c1"] || !got["c3"] {
		t.Errorf("the culprits are %v", got)
	}
}
