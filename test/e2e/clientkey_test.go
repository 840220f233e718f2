package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/backendtls/backendtls/test/pki"
)

// TestAClientKeyThatWasReplacedIsUsedNoMore: what was opened with the old key
// must not carry another request, and the backend is what can tell.
func TestAClientKeyThatWasReplacedIsUsedNoMore(t *testing.T) {
	f := newFixtures(t)
	w := newWorld(t)
	w.base(allowAll)
	old, renewed := f.client("old"), f.client("renewed")
	callers := x509.NewCertPool()
	callers.AddCert(f.ca.Certificate)
	certificate := f.good.TLS()
	backend := serveWith(t, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
		ClientCAs: callers, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	w.write("bundles.yaml", f.bundles)
	w.write("client.yaml", f.keyPair("client", old))
	w.write("service.yaml", service("api", "api.test", backend, "https"))
	w.write("policy.yaml", policy("api", f.trusted, options("client-certificate", "secret/client")))
	w.start()
	w.eventually("the old key is used", func() bool { return w.caller(t) == "old" })
	for range 20 {
		if got := w.caller(t); got != "old" {
			t.Fatalf("the backend sees %q", got)
		}
	}
	w.write("client.yaml", f.keyPair("client", renewed))
	w.eventually("the renewed key is used", func() bool { return w.caller(t) == "renewed" })
	// Envoy's threads follow one after the other.
	for bound := time.Now().Add(time.Second); time.Now().Before(bound); {
		_ = w.caller(t)
	}
	for range 50 {
		if got := w.caller(t); got != "renewed" {
			t.Fatalf("a second after the renewed key was seen the backend sees %q", got)
		}
	}
}

// client is a certificate for Envoy's side of the connection.
func (f *fixtures) client(name string) *pki.Identity {
	f.t.Helper()
	request := f.request(name)
	request.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return f.must(f.ca.Issue(request))
}

func (f *fixtures) keyPair(name string, identity *pki.Identity) string {
	f.t.Helper()
	key, err := identity.KeyPEM()
	if err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %s}
type: kubernetes.io/tls
stringData:
  tls.crt: %q
  tls.key: %q
---
`, name, identity.ChainPEM(), key)
}

// callerPath is where every backend says whose certificate the caller presented.
const callerPath = "/caller"

func sayCaller(w http.ResponseWriter, r *http.Request) {
	name := "nobody"
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		name = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	_, _ = io.WriteString(w, name)
}

// caller is who a backend thinks it is called by, "" without an answer.
func (w *world) caller(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.gateway.String()+callerPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "api.test"
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
