package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/backendtls/backendtls/test/pki"
)

// audience counts what reaches a backend.
type audience struct {
	address               netip.AddrPort
	connections, requests atomic.Int32
	// open are the connections there are now, peak the most that there were at once.
	open, peak atomic.Int32
	// given are the requests that were never answered and have ended.
	given atomic.Int32
}

// newAudience answers every request but those to silent, which it lets wait for ever.
func newAudience(t *testing.T, identity *pki.Identity, silent ...string) *audience {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(randomLoopback().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	a := &audience{address: netip.MustParseAddrPort(listener.Addr().String())}
	server := &http.Server{
		ReadHeaderTimeout: patience,
		ErrorLog:          log.New(io.Discard, "", 0),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{identity.TLS()}},
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			a.requests.Add(1)
			if slices.Contains(silent, r.Host) {
				<-r.Context().Done()
				a.given.Add(1)
			}
		}),
		ConnState: func(_ net.Conn, state http.ConnState) { a.count(state) },
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return a
}

// count takes in what became of a connection.
func (a *audience) count(state http.ConnState) {
	switch state {
	case http.StateNew:
		a.connections.Add(1)
		for now, peak := a.open.Add(1), a.peak.Load(); now > peak && !a.peak.CompareAndSwap(peak, now); {
			peak = a.peak.Load()
		}
	case http.StateClosed, http.StateHijacked:
		a.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

func TestAMirrorGetsCopiesUnderItsPolicyOrNothing(t *testing.T) {
	f := newFixtures(t)
	rows := []struct {
		name, appProtocol, validation string
		options                       map[string]string
		copies, connected             bool
	}{
		{name: "good", appProtocol: "https", validation: f.trusted, copies: true, connected: true},
		{name: "wrongpin", validation: f.trusted, options: options("pins", f.key(f.other)), connected: true},
		{name: "missing", validation: f.missing},
		{name: "bare", appProtocol: "https"},
	}
	main := newAudience(t, f.good)
	mirrors := map[string]*audience{}
	var manifests, filters strings.Builder
	manifests.WriteString(f.bundles + policy("main", f.trusted, nil))
	for _, r := range rows {
		mirrors[r.name] = newAudience(t, f.good)
		manifests.WriteString(service(r.name, r.name+".test", mirrors[r.name].address, r.appProtocol))
		if r.validation != "" {
			manifests.WriteString(policy(r.name, r.validation, r.options))
		}
		fmt.Fprintf(&filters, "{type: RequestMirror, requestMirror: {backendRef: {name: %s, port: 443}}}, ", r.name)
	}
	manifests.WriteString(strings.Replace(service("main", "main.test", main.address, ""), "rules: [{backendRefs",
		"rules: [{filters: ["+filters.String()+"], backendRefs", 1))
	w := newWorld(t)
	w.base(allowAll)
	w.write("rows.yaml", manifests.String())
	w.start()
	w.eventually("the Gateway serves", func() bool { return w.get("main.test") == http.StatusOK })
	before, copied := main.requests.Load(), mirrors["good"].requests.Load()
	const requests = 20
	for range requests {
		if got := w.get("main.test"); got != http.StatusOK {
			t.Errorf("the request itself gets %d", got)
		}
	}
	if got := main.requests.Load() - before; got != requests {
		t.Errorf("the backend got %d of %d requests", got, requests)
	}
	w.eventually("the good mirror has its copies", func() bool {
		return mirrors["good"].requests.Load()-copied >= requests
	})
	for _, r := range rows {
		if got := mirrors[r.name].requests.Load(); (got > 0) != r.copies {
			t.Errorf("%s got %d copies", r.name, got)
		}
		if got := mirrors[r.name].connections.Load(); got > 0 && !r.connected {
			t.Errorf("%s got %d connections", r.name, got)
		}
	}
	if got := w.routeCondition("main", "ResolvedRefs"); got.Reason != "UnsupportedProtocol" ||
		!strings.Contains(got.Message, "filters[2].requestMirror.backendRef: no requests are mirrored to it") {
		t.Errorf("ResolvedRefs: %+v", got)
	}
}

// silentMirror is a world in which main.test is answered, and copied to a Service
// of that protocol that answers what it is asked itself, as both.test, and no copy.
func silentMirror(t *testing.T, parameters, appProtocol string) (*world, *audience) {
	t.Helper()
	f := newFixtures(t)
	main, both := newAudience(t, f.good), newAudience(t, f.good, "main.test")
	w := newWorld(t)
	w.base(parameters)
	w.write("rows.yaml", f.bundles+policy("main", f.trusted, nil)+policy("both", f.trusted, nil)+
		service("both", "both.test", both.address, appProtocol)+
		strings.Replace(service("main", "main.test", main.address, ""), "rules: [{backendRefs",
			"rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: both, port: 443}}}], backendRefs", 1))
	w.start()
	w.eventually("the Gateway serves", func() bool {
		return w.get("both.test") == http.StatusOK && w.get("main.test") == http.StatusOK
	})
	return w, both
}

// flood sends that many requests, each of which must be answered.
func (w *world) flood(host string, requests int) {
	w.t.Helper()
	const clients = 4
	var failed atomic.Int32
	var sending sync.WaitGroup
	for range clients {
		sending.Go(func() {
			for range requests / clients {
				if w.get(host) != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	sending.Wait()
	if got := failed.Load(); got > 0 {
		w.t.Errorf("%d of %d requests to %s failed", got, requests, host)
	}
}

// dropped are the copies that were not sent. Envoy counts one where it found no
// room: among those that wait for a connection, or on a connection there is.
func (w *world) dropped() (waiting, active int) {
	w.t.Helper()
	read := func(name string) int {
		n, err := strconv.Atoi(w.stat("cluster.default/both/443/mirror." + name))
		if err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return read("upstream_rq_pending_overflow"), read("upstream_rq_active_overflow")
}

func TestAMirrorThatNeverAnswersHoldsFewConnections(t *testing.T) {
	// The documented limit (docs/policy.md); each worker thread may have one more.
	const limit, workers = 256, 4
	w, both := silentMirror(t, allowAll, "")
	// More than are sent and may wait.
	w.flood("main.test", 2*limit+100)
	w.eventually("the mirror has its connections", func() bool { return both.peak.Load() >= limit })
	w.eventually("copies are dropped", func() bool {
		// A worker whose one connection is beyond the limit lets none wait.
		waiting, active := w.dropped()
		return waiting+active > 0
	})
	for range 20 {
		if got := w.get("both.test"); got != http.StatusOK {
			t.Errorf("a request to the Service itself gets %d", got)
		}
	}
	// Those of its own requests are closed or idle: one each at most.
	own := int32(1 + 20)
	if got := both.peak.Load(); got > limit+workers+own {
		t.Errorf("the mirror had %d connections at once, %d are documented", got, limit)
	}
}

func TestAMirrorThatNeverAnswersHoldsFewStreams(t *testing.T) {
	// Each worker thread may find the last room at the same time.
	const limit, workers, more = 256, 4, 100
	w, both := silentMirror(t, allowAll, "kubernetes.io/h2c")
	before := both.requests.Load()
	w.flood("main.test", limit+more)
	w.eventually("copies are dropped, and seen to be", func() bool {
		_, active := w.dropped()
		return active >= more-workers
	})
	copies := both.requests.Load() - before
	w.flood("both.test", 20)
	if own := both.requests.Load() - before - copies; copies > limit+workers || own < 20 {
		t.Errorf("the mirror had %d copies and %d requests of its own, %d copies at once are documented", copies, own, limit)
	}
}

func TestACopyThatIsNeverAnsweredEnds(t *testing.T) {
	w, both := silentMirror(t, strings.Replace(allowAll, "{backendTLS", "{envoy: {maxStreamDuration: 2s}, backendTLS", 1), "")
	w.within(patience/2, "the copy is given up, long before the limit of those without another", func() bool {
		return both.given.Load() > 0
	})
}
