package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/pki"
)

// port is a real port of this machine, in place of a pod's.
func port(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// One after the other: the scheduler asks one at a time.
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// asked has a Prober ask real ports, each as a pod of Service api, and returns what
// waits for its verdict. So many can be asked at a time: most of it is waiting.
func asked(
	t *testing.T, timeout time.Duration, trust *model.Trust, serve ...func(net.Conn),
) func(*testing.T) (string, model.Probed) {
	t.Helper()
	w := newWorld()
	ports := map[netip.AddrPort]string{}
	list := slice("api")
	for i, serve := range serve {
		address := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		w.place(named("api", i), address.String(), nil)
		ports[netip.AddrPortFrom(address, 8443)] = port(t, serve)
		list[0].Endpoints = append(list[0].Endpoints, endpoint(address.String(), "", named("api", i)))
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, ports[netip.MustParseAddrPort(address)])
	}
	r := w.start(t, Config{Timeout: timeout, Rate: 100, Dial: dial})
	t.Cleanup(r.stop) // Before the ports are closed.
	b := backend("api", trust)
	r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "api"}, list)
	r.Put(gateways(gateway(web, b)))
	return func(t *testing.T) (string, model.Probed) {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			if probed, known := r.Probed()[keyOf(b)]; known && probed.Complete {
				return r.said(b), probed
			}
			select {
			case <-r.Changes():
			case <-deadline:
				t.Fatalf("no verdict, but %s", r.said(b))
			}
		}
	}
}

// What answers has this long; what does not costs the test twice as long as it has.
const (
	patient   = 20 * time.Second
	impatient = 2 * time.Second
)

func TestEachVerdictOnRealPorts(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	ca := newAuthority(t)
	issue := func(by *pki.Identity, edit func(*pki.Request)) *pki.Identity {
		t.Helper()
		request := pki.Request{Name: "leaf", DNS: []string{host}, NotBefore: now.Add(-30 * day), NotAfter: now.Add(60 * day)}
		edit(&request)
		identity, err := by.Issue(request)
		if err != nil {
			t.Fatal(err)
		}
		return identity
	}
	stranger := newAuthority(t)
	pinned := ca.trust("api")
	pinned.Anchors, pinned.Names, pinned.Leaves = nil, nil, []pin.Pin{pin.OfKey(ca.good.Certificate)}
	listed := ca.trust("api")
	listed.Leaves = []pin.Pin{pin.OfCertificate(ca.good.Certificate)}
	expired := issue(ca.ca, func(r *pki.Request) { r.NotAfter = now.Add(-day) })
	ending := issue(ca.ca, func(r *pki.Request) { r.NotAfter = now.Add(day) })
	brief := issue(ca.ca, func(r *pki.Request) { r.NotBefore, r.NotAfter = now.Add(-time.Hour), now.Add(time.Hour) })
	misnamed := issue(ca.ca, func(r *pki.Request) { r.DNS = []string{"x.example.com"} })
	foreign := issue(stranger.ca, func(*pki.Request) {})
	for _, c := range []struct {
		name  string
		trust *model.Trust
		serve []func(net.Conn)
		want  string
		leaf  *pki.Identity
	}{
		{name: "all is well", trust: ca.trust("api"), serve: []func(net.Conn){presents(ca.good)}, want: "1: 1 Verified"},
		{
			name: "a certificate for an hour in the middle of its life", trust: ca.trust("api"),
			serve: []func(net.Conn){presents(brief)}, want: "1: 1 Verified",
		},
		{
			name: "one that ends tomorrow", trust: ca.trust("api"), serve: []func(net.Conn){presents(ending)},
			want: "1: 1 CertificateExpiring", leaf: ending,
		},
		{
			name: "one that ends tomorrow, whose key is pinned", trust: pinned, serve: []func(net.Conn){presents(ca.good)},
			want: "1: 1 Verified",
		},
		{
			name: "one that has ended", trust: ca.trust("api"), serve: []func(net.Conn){presents(expired)},
			want: "1: 1 CertificateExpired", leaf: expired,
		},
		{
			name: "another name", trust: ca.trust("api"), serve: []func(net.Conn){presents(misnamed)},
			want: "1: 1 HostnameMismatch", leaf: misnamed,
		},
		{
			name: "another issuer", trust: ca.trust("api"), serve: []func(net.Conn){presents(foreign)},
			want: "1: 1 UntrustedIssuer", leaf: foreign,
		},
		{
			name: "another key", trust: pinned, serve: []func(net.Conn){presents(foreign)},
			want: "1: 1 PinMismatch", leaf: foreign,
		},
		{
			name: "another certificate", trust: listed, serve: []func(net.Conn){presents(brief)},
			want: "1: 1 PinMismatch", leaf: brief,
		},
		{
			name: "some so and some so", trust: ca.trust("api"),
			serve: []func(net.Conn){presents(ca.good), presents(foreign), presents(ca.good)},
			want:  "3: 1 UntrustedIssuer 2 Verified", leaf: foreign,
		},
	} {
		verdict := asked(t, patient, c.trust, c.serve...)
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, probed := verdict(t)
			if got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			var leaves []string
			for _, count := range probed.Counts {
				leaves = append(leaves, count.Leaves...)
			}
			want := ""
			if c.leaf != nil {
				want = pin.OfCertificate(c.leaf.Certificate).String()
			}
			if strings.Join(leaves, " ") != want {
				t.Errorf("certificates %v, want %q", leaves, want)
			}
		})
	}
}

// TestHostileEndpoints holds the Prober to its bounds, whatever it talks to.
func TestHostileEndpoints(t *testing.T) {
	ca := newAuthority(t)
	huge := ca.good.TLS()
	for range 400 {
		huge.Certificate = append(huge.Certificate, ca.ca.Certificate.Raw)
	}
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  string
		// within is what an endpoint has that would never end by itself.
		within time.Duration
	}{
		{"silence", silent, "Unreachable", impatient},
		{"a byte now and then", func(conn net.Conn) {
			_, _ = conn.Write([]byte{0x16, 3, 3, 0x40, 0}) // A record of 16 KiB.
			for {
				if _, err := conn.Write([]byte{2}); err != nil {
					return
				}
				_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if _, err := io.Copy(io.Discard, conn); err == nil {
					return
				}
			}
		}, "Unreachable", impatient},
		{"a chain of 400 certificates", func(conn net.Conn) {
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{huge}}).Handshake()
		}, "CertificateMismatch", patient}, // As Envoy decides it.
		{"plaintext", func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, "NotTLS", patient},
		{"a banner", func(conn net.Conn) { _, _ = conn.Write([]byte("220 mail.example.com ESMTP\r\n")) }, "NotTLS", patient},
		{"a flood", func(conn net.Conn) {
			record := append([]byte{0x16, 3, 3, 0x40, 0}, make([]byte, 0x4000)...)
			for {
				if _, err := conn.Write(record); err != nil {
					return
				}
			}
		}, "Unreachable", patient},
		{"a reset", func(conn net.Conn) {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		}, "Unreachable", patient},
	} {
		verdict := asked(t, c.within, ca.trust("api"), c.serve)
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, probed := verdict(t)
			if got != "1: 1 "+c.want {
				t.Errorf("got %q, want %s", got, c.want)
			}
			for _, count := range probed.Counts {
				for _, leaf := range count.Leaves {
					if _, err := pin.Parse(leaf); err != nil {
						t.Errorf("something of the peer is kept: %q", leaf)
					}
				}
			}
		})
	}
}

// TestNothingIsSentButAHandshake reads what the other side gets after it.
func TestNothingIsSentButAHandshake(t *testing.T) {
	ca := newAuthority(t)
	type seen struct {
		sni  string
		data int
		keys int
	}
	got := make(chan seen, 16)
	_, _ = asked(t, patient, ca.trust("api"), func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{
			Certificates: []tls.Certificate{ca.good.TLS()}, ClientAuth: tls.RequestClientCert,
		})
		if server.Handshake() != nil {
			return
		}
		data, _ := io.ReadAll(server)
		state := server.ConnectionState()
		got <- seen{state.ServerName, len(data), len(state.PeerCertificates)}
	})(t)
	if first := <-got; first != (seen{sni: host}) {
		t.Errorf("the endpoint saw %+v", first)
	}
	runtime.KeepAlive(got)
}
