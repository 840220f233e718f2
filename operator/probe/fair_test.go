package probe

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// crowd is namespaces alike.
type crowd struct {
	name                           string
	namespaces, services, eachWith int
	serve                          func(net.Conn)
	// from is the second byte of their addresses, the third and fourth count.
	from byte
}

// settle makes the Services and pods of a crowd and returns its backends.
func (c crowd) settle(w *world, r *running, ca authority) (backends []model.Backend) {
	next := netip.AddrFrom4([4]byte{10, c.from, 0, 1})
	for i := range c.namespaces {
		namespace := named(c.name, i)
		for j := range c.services {
			service := named("service", j)
			list := slice(service)
			list[0].Namespace = namespace
			for k := range c.eachWith {
				w.placeIn(namespace, named(service, k), next.String(), c.serve)
				list[0].Endpoints = append(list[0].Endpoints, endpoint(next.String(), "", named(service, k)))
				next = next.Next()
			}
			r.SetSlices(types.NamespacedName{Namespace: namespace, Name: service}, list)
			b := backend(service, ca.trust(service))
			b.Service = gwapi.KeyOf(gwapi.KindService, namespace, service)
			backends = append(backends, b)
		}
	}
	return backends
}

// has says whether an address is one of a crowd's.
func (c crowd) has(address netip.AddrPort) bool { return address.Addr().As4()[1] == c.from }

// TestNoNamespaceKeepsOthersFromTheirChecks holds the Prober to the bounds that
// docs/install.md promises to a namespace whose endpoints answer at once, as all
// good ones do on the clock of this test.
func TestNoNamespaceKeepsOthersFromTheirChecks(t *testing.T) {
	const (
		slots, timeout = DefaultConcurrency, DefaultTimeout
		each           = time.Duration(float64(time.Second) / DefaultRate)
	)
	for _, c := range []struct {
		name     string
		bad      crowd
		good     crowd
		interval time.Duration
		// bound is within what time of being due a good endpoint is asked, with n
		// namespaces of which each good one has m endpoints.
		bound func(n, m time.Duration) time.Duration
	}{
		{
			name: "thousands of silent endpoints in one namespace", bad: crowd{"bad", 1, 300, 10, silent, 1},
			good: crowd{"good", 5, 2, 3, nil, 2}, interval: interval,
			bound: func(n, m time.Duration) time.Duration { return m * n * each },
		},
		{
			name: "silent endpoints in nearly half as many namespaces as there are slots", bad: crowd{"bad", 6, 40, 5, silent, 1},
			good: crowd{"good", 2, 3, 2, nil, 2}, interval: interval,
			bound: func(n, m time.Duration) time.Duration { return m * n * each },
		},
		{
			name: "silent endpoints in more namespaces than there are slots", bad: crowd{"bad", 20, 10, 5, silent, 1},
			good: crowd{"good", 3, 1, 2, nil, 2}, interval: interval,
			bound: func(n, m time.Duration) time.Duration { return m * ((n/slots+1)*timeout + n*each) },
		},
		{
			name: "thousands that refuse at once, which would take the whole rate", bad: crowd{"bad", 1, 3000, 1, nil, 1},
			good: crowd{"good", 4, 1, 5, nil, 2}, interval: interval,
			bound: func(n, m time.Duration) time.Duration { return m * n * each },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, ca := newWorld(), newAuthority(t)
				c.good.serve = presents(ca.good)
				r := w.start(t, Config{})
				defer r.stop()
				good := c.good.settle(w, r, ca)
				bad := c.bad.settle(w, r, ca)
				hasty := gateway(other, bad...)
				hasty.ProbeInterval = model.LeastProbeInterval
				r.Put(gateways(gateway(web, good...), hasty))
				n := time.Duration(c.good.namespaces + c.bad.namespaces)
				bound := c.bound(n, time.Duration(c.good.services*c.good.eachWith))
				want := fmt.Sprintf("%[1]d: %[1]d Verified", c.good.eachWith)
				const intervals = 5
				pass(soon + bound + batch)
				for begun := time.Now(); time.Since(begun) < intervals*interval; pass(sweep) {
					for _, b := range good {
						if got := r.said(b); got != want {
							t.Fatalf("%s after %s: %s", b.Service, time.Since(begun), got)
						}
					}
				}
				log := sortedTimes(w.log())
				within(t, log, c.good, bound)
				bounded(t, w, log, each)
				// Whoever does not answer has its share, too.
				others := slices.DeleteFunc(slices.Clone(log), func(d dialled) bool { return !c.bad.has(d.address) })
				if least := intervals * int(interval/timeout) * slots / 2; len(others) < least {
					t.Errorf("%d checks of those that do not answer, want %d at least", len(others), least)
				}
			})
		})
	}
}

// within says which endpoints of a crowd were asked later than a bound after they
// were due.
func within(t *testing.T, log []dialled, c crowd, bound time.Duration) {
	t.Helper()
	last, times := map[netip.AddrPort]time.Time{}, map[netip.AddrPort]int{}
	for _, d := range log {
		if !c.has(d.address) {
			continue
		}
		most := interval + interval/10 + bound
		if times[d.address] == 1 {
			most = 2*interval + bound
		}
		if before, known := last[d.address]; known && d.at.Sub(before) > most {
			t.Errorf("%s was asked after %s, want %s at most", d.address, d.at.Sub(before), most)
		}
		last[d.address] = d.at
		times[d.address]++
	}
	if want := c.namespaces * c.services * c.eachWith; len(last) != want {
		t.Errorf("%d endpoints were asked, want %d", len(last), want)
	}
}

// bounded says where the bounds of the whole did not hold.
func bounded(t *testing.T, w *world, log []dialled, each time.Duration) {
	t.Helper()
	if most, _ := w.peaks(); most > DefaultConcurrency {
		t.Errorf("%d were asked at a time", most)
	}
	for i := 1; i < len(log); i++ {
		if apart := log[i].at.Sub(log[i-1].at); apart < each {
			t.Fatalf("two were begun within %s", apart)
		}
	}
}

// TestANewNamespaceWaitsForOneCheckAtMost: what is kept free is for those that are
// known.
func TestANewNamespaceWaitsForOneCheckAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		all := gateway(web, crowd{"bad", 1, 100, 5, silent, 1}.settle(w, r, ca)...)
		r.Put(gateways(all))
		pass(interval)
		if open := w.connected(); open != DefaultConcurrency {
			t.Errorf("%d slots are used by the only namespace", open)
		}
		good := crowd{"good", 1, 1, 3, presents(ca.good), 2}.settle(w, r, ca)
		all.Backends = append(slices.Clone(all.Backends), good...)
		r.Put(gateways(all))
		pass(soon + DefaultTimeout + time.Second)
		if got := r.said(good[0]); got != "3: 3 Verified" {
			t.Errorf("of the new namespace: %s", got)
		}
	})
}

// TestPodsOfTwoServicesAreAskedForTheOneThatRemains whichever is taken away, also
// while they are asked.
func TestPodsOfTwoServicesAreAskedForTheOneThatRemains(t *testing.T) {
	for _, taken := range []string{"api", "twin"} {
		t.Run(taken, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, ca := newWorld(), newAuthority(t)
				r := w.start(t, Config{})
				defer r.stop()
				w.deploy(r, "api", 0, 3, silent)
				r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "twin"}, slice("twin",
					endpoint("10.0.0.1", "", "api-0"), endpoint("10.0.0.2", "", "api-1"), endpoint("10.0.0.3", "", "api-2")))
				both := []model.Backend{backend("api", ca.trust("one")), backend("twin", ca.trust("two"))}
				r.Put(gateways(gateway(web, both...)))
				pass(soon)
				if open := w.connected(); open != 1 {
					t.Fatalf("%d of the same pods are asked at a time", open)
				}
				left := slices.DeleteFunc(both, func(b model.Backend) bool { return b.Service.Name == taken })
				r.Put(gateways(gateway(web, left...)))
				pass(2 * interval)
				before := w.dials()
				pass(3 * interval)
				for address, times := range w.dials() {
					if times -= before[address]; times < 2 {
						t.Errorf("%s was asked %d times in three intervals", address, times)
					}
				}
				if got := r.said(left[0]); got != "3: 3 Unreachable" {
					t.Errorf("of the Service that remains: %s", got)
				}
			})
		})
	}
}

// TestTurns holds what term.next says of itself against namespaces that come due,
// end, come and go in every order.
func TestTurns(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		slots, namespaces := 1+random.IntN(20), 1+random.IntN(12)
		at := &term{
			prober: &Prober{config: Config{Concurrency: slots}}, targets: map[place]*target{}, tenants: map[string]*tenant{},
		}
		now := time.Unix(0, 0)
		enqueue := func(item *target) {
			item.due = now.Add(time.Duration(random.IntN(20)) * time.Second)
			at.enqueue(item)
		}
		for i := range namespaces * 12 {
			service := gwapi.KeyOf(gwapi.KindService, named("namespace", i%namespaces), named("service", i/namespaces%6))
			enqueue(&target{
				pod:      gwapi.KeyOf("Pod", service.Namespace, named("pod", i)),
				subjects: map[*subject]struct{}{{key: model.ProbeKey{Service: service}}: {}},
			})
		}
		type check struct {
			of   *lane
			item *target
		}
		var underWay []check
		passed := map[*tenant]int{}
		for range 1000 {
			now = now.Add(time.Duration(random.IntN(3)) * time.Second)
			if len(underWay) > 0 && random.IntN(3) == 0 {
				i := random.IntN(len(underWay))
				enqueue(underWay[i].item)
				underWay[i].of.release()
				underWay = slices.Delete(underWay, i, i+1)
			}
			if len(at.tenants) != namespaces {
				t.Fatalf("seed %d: %d namespaces, want %d", seed, len(at.tenants), namespaces)
			}
			of, wait := at.next(now)
			if of == nil {
				idleNow(t, at, now, wait)
				continue
			}
			for _, owner := range at.tenants {
				passed[owner]++
				if owner == of.tenant || owner.running > 0 || len(owner.ready) == 0 || owner.ready[0].when().After(now) {
					passed[owner] = 0
				}
				if passed[owner] >= namespaces {
					t.Fatalf("seed %d: %d others began before %s", seed, passed[owner], owner.name)
				}
			}
			underWay = append(underWay, check{of, of.occupy()})
			consistent(t, at, slots, len(underWay))
		}
	}
}

// idleNow says if a namespace has to wait for a slot that is kept for it.
func idleNow(t *testing.T, at *term, now time.Time, wait time.Duration) {
	t.Helper()
	if wait <= 0 {
		t.Fatalf("nothing to do for %s", wait)
	}
	slots := at.prober.config.Concurrency
	for _, owner := range at.tenants {
		due := len(owner.ready) > 0 && !owner.ready[0].when().After(now)
		if due && (at.running == 0 || owner.running == 0 && len(at.tenants) <= slots/2) {
			t.Fatalf("%s waits, with %d of %d slots used", owner.name, at.running, slots)
		}
	}
}

// consistent says where the sums and queues of a term are wrong.
func consistent(t *testing.T, at *term, slots, underWay int) {
	t.Helper()
	running, asking := 0, 0
	for _, owner := range at.tenants {
		running += owner.running
		asking += min(owner.running, 1)
		for _, l := range owner.lanes {
			if ready := l.index >= 0; ready == (l.asking || len(l.waiting) == 0) {
				t.Fatalf("%s/%s: ready %v, asking %v, %d wait", owner.name, l.name, ready, l.asking, len(l.waiting))
			}
			for _, item := range l.waiting {
				if item.lane != l || item.due.Before(l.when()) {
					t.Fatalf("%s/%s: the first is not at the head", owner.name, l.name)
				}
			}
		}
	}
	if running != underWay || at.running != underWay || underWay > slots {
		t.Fatalf("%d are asked, counted as %d and %d, of %d slots", underWay, running, at.running, slots)
	}
	if free := slots - running; free+asking < min(len(at.tenants), slots/2) {
		t.Fatalf("%d slots are free with %d of %d namespaces asking", free, asking, len(at.tenants))
	}
}
