package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backendtls/backendtls/test/pki"
)

// audience counts what reaches a backend.
type audience struct {
	address               netip.AddrPort
	connections, requests atomic.Int32
}

func newAudience(t *testing.T, identity *pki.Identity) *audience {
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
		Handler:           http.HandlerFunc(func(http.ResponseWriter, *http.Request) { a.requests.Add(1) }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				a.connections.Add(1)
			}
		},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return a
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
