package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
)

// parrot is a server that says each line back, over TLS unless identity is nil,
// and counts connections and lines.
type parrot struct {
	address            netip.AddrPort
	connections, lines atomic.Int32
}

func newParrot(t *testing.T, identity *pki.Identity) *parrot {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(randomLoopback().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &parrot{address: netip.MustParseAddrPort(listener.Addr().String())}
	if identity != nil {
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{identity.TLS()},
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); p.accept(listener) }()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return p
}

func (p *parrot) accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		p.connections.Add(1)
		go func() {
			defer func() { _ = connection.Close() }()
			_ = connection.SetDeadline(time.Now().Add(patience))
			lines := bufio.NewReader(connection)
			for line, err := lines.ReadString('\n'); err == nil; line, err = lines.ReadString('\n') {
				p.lines.Add(1)
				_, _ = io.WriteString(connection, line)
			}
		}()
	}
}

// say sends a line to a server name over TLS; it returns the answer, the name
// that the certificate was issued for, and the error of the handshake or of the
// connection.
func (w *world) say(name string, roots *x509.CertPool) (heard, issued string, err error) {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots,
	}}
	connection, err := dialer.DialContext(w.t.Context(), "tcp", w.gateway.String())
	if err != nil {
		return "", "", err
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(patience))
	secure, ok := connection.(*tls.Conn)
	if !ok {
		return "", "", errors.New("not a TLS connection")
	}
	issued = secure.ConnectionState().PeerCertificates[0].Subject.CommonName
	if _, err := io.WriteString(connection, "hello\n"); err != nil {
		return "", issued, err
	}
	heard, err = bufio.NewReader(connection).ReadString('\n')
	return heard, issued, err
}

// streamService is service with a TLSRoute for two server names.
func streamService(name string, backend netip.AddrPort, appProtocol string) string {
	return strings.Replace(service(name, name+".ends.test, "+name+".through.test", backend, appProtocol),
		"kind: HTTPRoute", "kind: TLSRoute", 1)
}

// streamGateway is the base with a listener at which TLS ends beside one that
// passes it on, on one port.
func (w *world) streamGateway(certificate *pki.Identity) {
	w.t.Helper()
	key, err := certificate.KeyPEM()
	if err != nil {
		w.t.Fatal(err)
	}
	w.base(allowAll)
	w.write("base.yaml", fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec: {controllerName: backendtls.dev/gateway-controller}
---
apiVersion: v1
kind: Secret
metadata: {name: front}
type: kubernetes.io/tls
stringData:
  tls.crt: %q
  tls.key: %q
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: backendtls
  addresses: [{type: IPAddress, value: %s}]
  listeners:
  - {name: ends, protocol: TLS, port: %[4]d, hostname: "*.ends.test", tls: {certificateRefs: [{name: front}]}}
  - {name: through, protocol: TLS, port: %[4]d, hostname: "*.through.test", tls: {mode: Passthrough}}
`, certificate.PEM(), key, w.gateway.Addr(), w.gateway.Port()))
}

func TestWhatATLSRouteDoesUnderEachPolicy(t *testing.T) {
	f := newFixtures(t)
	front := f.leaf(f.ca, "front", func(r *pki.Request) { r.DNS = []string{"*.ends.test"} })
	// The backend has names of its own behind the Gateway and for clients.
	behind := f.leaf(f.ca, "behind", func(r *pki.Request) { r.DNS = []string{f.host, "*.through.test"} })
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.Certificate)
	w := newWorld(t)
	w.streamGateway(front)
	rows := []struct {
		name, appProtocol, validation string
		options                       map[string]string
		plain                         bool
		// reached says whether a session that ends at the Gateway gets to the backend,
		// connected whether a connection does.
		reached, connected bool
	}{
		{name: "ca", appProtocol: "https", validation: f.trusted, reached: true, connected: true},
		{name: "pin", validation: f.trusted, options: options("pins", f.key(behind)), reached: true, connected: true},
		{name: "plain", plain: true, reached: true, connected: true},
		{name: "wrongpin", validation: f.trusted, options: options("pins", f.key(f.other)), connected: true},
		{name: "system", validation: f.system(), connected: true},
		{name: "missing", validation: f.missing},
		{name: "bare", appProtocol: "https"},
		{name: "deleted", appProtocol: "https", validation: f.trusted, reached: true, connected: true},
	}
	parrots := map[string]*parrot{}
	var manifests strings.Builder
	manifests.WriteString(f.bundles)
	for _, r := range rows {
		identity := behind
		if r.plain {
			identity = nil
		}
		parrots[r.name] = newParrot(t, identity)
		manifests.WriteString(streamService(r.name, parrots[r.name].address, r.appProtocol))
		if r.validation != "" && r.name != "deleted" {
			manifests.WriteString(policy(r.name, r.validation, r.options))
		}
	}
	w.write("rows.yaml", manifests.String())
	w.write("deleted.yaml", policy("deleted", f.trusted, nil))
	w.start()
	w.eventually("the Gateway serves", func() bool {
		heard, _, _ := w.say("ca.ends.test", roots)
		return heard == "hello\n"
	})
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			heard, issued, err := w.say(r.name+".ends.test", roots)
			if (heard == "hello\n") != r.reached {
				t.Errorf("heard %q, %v", heard, err)
			}
			if r.reached && issued != "front" {
				t.Errorf("the certificate is that of %q", issued)
			}
			if got := parrots[r.name].lines.Load() > 0; got != r.reached {
				t.Errorf("the backend was told something: %v", got)
			}
			if got := parrots[r.name].connections.Load() > 0; got && !r.connected {
				t.Error("the backend got a connection")
			}
		})
		t.Run(r.name+" passed through", func(t *testing.T) {
			if r.plain {
				return
			}
			heard, issued, err := w.say(r.name+".through.test", roots)
			if heard != "hello\n" || issued != "behind" {
				t.Errorf("heard %q from %q, %v; no policy decides there", heard, issued, err)
			}
		})
	}
	t.Run("names that nobody has are refused", func(t *testing.T) {
		for _, name := range []string{"nobody.ends.test", "nobody.through.test", "elsewhere.test"} {
			if heard, issued, err := w.say(name, roots); err == nil || issued != "" {
				t.Errorf("%s: heard %q from %q", name, heard, issued)
			}
		}
	})
	t.Run("a policy that goes leaves no plaintext behind", func(t *testing.T) {
		if err := os.Remove(filepath.Join(w.dir, "deleted.yaml")); err != nil {
			t.Fatal(err)
		}
		w.eventually("sessions are closed", func() bool {
			heard, _, _ := w.say("deleted.ends.test", roots)
			return heard == ""
		})
	})
	t.Run("statuses are written", func(t *testing.T) { w.streamStatuses() })
}

// streamStatuses looks at what is said of the routes and of the policies.
func (w *world) streamStatuses() {
	w.t.Helper()
	status, _, _ := readStatus[gatewayv1.TLSRouteStatus](w, "TLSRoute", "bare")
	resolved := metav1.Condition{}
	for _, parent := range status.Parents {
		for _, condition := range parent.Conditions {
			if condition.Type == string(gatewayv1.RouteConditionResolvedRefs) {
				resolved = condition
			}
		}
	}
	if resolved.Reason != string(gatewayv1.RouteReasonUnsupportedProtocol) {
		w.t.Errorf("ResolvedRefs of the route without a policy: %+v", resolved)
	}
	w.eventually("the policy is programmed", func() bool { return w.programmed("ca") })
}
