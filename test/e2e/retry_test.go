package e2e

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// A backend that has died has no requests under way, so that load balancing by
// least requests prefers it to one that is busy, until Envoy hears of its end.
func TestARequestFindsTheBackendThatIsLeft(t *testing.T) {
	const busy, requests = 20, 400
	f := newFixtures(t)
	left := newAudience(t, f.good, "held.test")
	w := newWorld(t)
	w.base(allowAll)
	live := left.address.Addr().String()
	dead := netip.AddrPortFrom(randomLoopback(), left.address.Port()).Addr().String()
	two := strings.Replace(service("two", "main.test", left.address, ""), `endpoints: [`,
		`endpoints: [{addresses: ["`+dead+`"]}, `, 1)
	w.write("rows.yaml", f.bundles+policy("two", f.trusted, nil)+
		strings.Replace(two, "hostnames: [", "hostnames: [held.test, ", 1))
	w.start()
	w.eventually("the Gateway serves", func() bool { return w.get("main.test") == http.StatusOK })
	var held sync.WaitGroup
	t.Cleanup(held.Wait)
	for range busy {
		held.Go(func() { w.get("held.test") })
	}
	w.eventually(live+" is busy", func() bool { return left.open.Load() >= busy/2 })
	for range requests {
		if got := w.get("main.test"); got != http.StatusOK {
			t.Fatalf("a request gets %d, although %s answers", got, live)
		}
	}
}
