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
	"testing"
	"time"

	"github.com/backendtls/backendtls/test/pki"
)

// serve runs a TLS backend with the certificate until the test ends.
func serve(t *testing.T, identity *pki.Identity) netip.AddrPort {
	t.Helper()
	certificate := identity.TLS()
	return serveWith(t, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}})
}

func serveWith(t *testing.T, config *tls.Config) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(randomLoopback().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ReadHeaderTimeout: patience,
		ErrorLog:          log.New(io.Discard, "", 0),
		TLSConfig:         config,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case streamPath:
				endless(w, r)
			case callerPath:
				sayCaller(w, r)
			default:
				_, _ = io.WriteString(w, "hello")
			}
		}),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return netip.MustParseAddrPort(listener.Addr().String())
}

// service is a Service with one endpoint, and a route from HOST to it.
func service(name, host string, backend netip.AddrPort, appProtocol string) string {
	if appProtocol != "" {
		appProtocol = ", appProtocol: " + appProtocol
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  ports: [{name: tls, port: 443%[5]s}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: tls, port: %[4]d}]
endpoints: [{addresses: ["%[3]s"]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s}
spec:
  parentRefs: [{name: web}]
  hostnames: [%[2]s]
  rules: [{backendRefs: [{name: %[1]s, port: 443}]}]
---
`, name, host, backend.Addr(), backend.Port(), appProtocol)
}

// policy is a BackendTLSPolicy for a Service of the same name.
func policy(name, validation string, options map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: %[1]s}
spec:
  targetRefs: [{group: "", kind: Service, name: %[1]s}]
  validation: %[2]s
`, name, validation)
	if len(options) > 0 {
		b.WriteString("  options:\n")
		for key, value := range options {
			fmt.Fprintf(&b, "    %s: %q\n", key, value)
		}
	}
	b.WriteString("---\n")
	return b.String()
}

// configMap holds PEM under ca.crt.
func configMap(name string, pem []byte) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: %s}
data:
  ca.crt: %q
---
`, name, pem)
}

// authorities and certificates of a test.
type issuer struct {
	t   *testing.T
	now time.Time
}

func (i issuer) request(name string) pki.Request {
	return pki.Request{Name: name, NotBefore: i.now.Add(-time.Hour), NotAfter: i.now.Add(24 * time.Hour)}
}

func (i issuer) authority(name string) *pki.Identity {
	i.t.Helper()
	request := i.request(name)
	request.CA = true
	return i.must(pki.SelfSigned(request))
}

// leaf is a server certificate for host, changed by edits.
func (i issuer) leaf(by *pki.Identity, host string, edits ...func(*pki.Request)) *pki.Identity {
	i.t.Helper()
	request := i.request(host)
	request.DNS = []string{host}
	for _, edit := range edits {
		edit(&request)
	}
	return i.must(by.Issue(request))
}

func (i issuer) must(identity *pki.Identity, err error) *pki.Identity {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
	return identity
}

func (i issuer) expired(request *pki.Request) {
	request.NotBefore, request.NotAfter = i.now.Add(-48*time.Hour), i.now.Add(-time.Hour)
}
