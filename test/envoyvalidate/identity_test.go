package envoyvalidate_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
)

// demanding serves the fixture's certificate to clients of the authority, and
// answers with the name of the client.
func demanding(t *testing.T, clients *pki.Identity) *httptest.Server {
	t.Helper()
	certificate, err := tls.X509KeyPair(fixture(t, "server.pem"), fixture(t, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(clients.Certificate)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Client", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestEnvoyPresentsTheClientCertificate(t *testing.T) {
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	identity := func(issuer *pki.Identity, name string) *model.KeyPair {
		made, err := issuer.Issue(pki.Request{
			Name: name, NotBefore: from, NotAfter: to, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		if err != nil {
			t.Fatal(err)
		}
		key, err := made.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		return &model.KeyPair{Secret: gwapi.KeyOf(gwapi.KindSecret, "default", name), Chain: made.ChainPEM(), Key: key}
	}
	authority := func(name string) *pki.Identity {
		made, err := pki.SelfSigned(pki.Request{Name: name, CA: true, NotBefore: from, NotAfter: to})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	clients, strangers := authority("clients"), authority("strangers")
	server := demanding(t, clients)
	trust := func(mode model.Mode, presented *model.KeyPair) *model.Trust {
		made := &model.Trust{
			Policy: gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api"), Mode: mode, SNI: "example.com", Identity: presented,
		}
		if mode == model.Standard {
			made.Anchors = [][]byte{certificate(t, "ca.pem").Raw}
			made.Names = []model.Name{{Kind: model.DNS, Value: "example.com"}}
		}
		return made
	}
	s := newSite(t)
	cases := []struct {
		name   string
		trust  *model.Trust
		status int
		client string
	}{
		{"one", trust(model.Standard, identity(clients, "one")), 200, "one"},
		{"two", trust(model.Standard, identity(clients, "two")), 200, "two"},
		{"skip", trust(model.InsecureSkipVerification, identity(clients, "skip")), 200, "skip"},
		{"stranger", trust(model.Standard, identity(strangers, "stranger")), 503, ""},
		{"nobody", trust(model.Standard, nil), 503, ""},
	}
	var hosts []model.VirtualHost
	for _, c := range cases {
		hosts = append(hosts, host(c.name+".test", rule(prefix("/"), s.backend(c.name, server, c.trust))))
	}
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: hosts}}
	s.start()
	for _, c := range cases {
		got := s.get(c.name+".test", "/")
		if got.status != c.status || got.header.Get("X-Client") != c.client {
			t.Errorf("%s: got %d as %q, want %d as %q", c.name, got.status, got.header.Get("X-Client"), c.status, c.client)
		}
	}
	_, dump := s.running.Ask(t, "/config_dump")
	redacted := base64.StdEncoding.EncodeToString([]byte("[redacted]"))
	for _, c := range cases {
		if c.trust.Identity == nil {
			continue
		}
		if strings.Contains(dump, base64.StdEncoding.EncodeToString(c.trust.Identity.Key)) || !strings.Contains(dump, redacted) {
			t.Errorf("Envoy's dump of its configuration shows the key of %s", c.name)
		}
	}
}
