package matrix_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/test/envoyvalidate"
	"github.com/backendtls/backendtls/test/pki"
	"github.com/backendtls/backendtls/test/port"
)

// entrance is a listener of the Gateway.
type entrance struct {
	title    string
	port     uint16
	secure   bool
	clients  string // of spec.tls.frontend.perPort
	fallback bool
}

// house is a Gateway with every kind of entrance, in front of a backend that
// says what it was sent.
type house struct {
	shop      *workshop
	entrances []*entrance
	gateway   model.Gateway
	reports   resolve.Result
	running   *envoyvalidate.Running
}

const (
	validOnly = `{port: %d, tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}]}}}`
	fallback  = `{port: %d, tls: {validation: {mode: AllowInsecureFallback, ` +
		`caCertificateRefs: [{group: "", kind: ConfigMap, name: clients}]}}}`
)

const houseText = `---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec: {controllerName: backendtls.dev/gateway-controller}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: default}
spec: {ports: [{port: 80, appProtocol: kubernetes.io/h2c}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: matrix, namespace: default}
spec:
  gatewayClassName: backendtls
  addresses: [{type: IPAddress, value: 127.0.0.1}]
`

const routeText = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: default}
spec:
  parentRefs: [{name: matrix}]
  hostnames: [%s.example.com]
  rules: [{backendRefs: [{name: echo, port: 80}]%s}]
`

// newHouse writes the manifests, with a route for each filter, by its name, and
// resolves them. The certificate of its listeners is edited by server.
func newHouse(t testing.TB, filters map[string]string, server ...func(*pki.Request)) *house {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	h := &house{shop: newWorkshop(t, now), entrances: []*entrance{
		{title: "HTTP"},
		{title: "HTTPS", secure: true},
		{title: "AllowValidOnly", secure: true, clients: validOnly},
		{title: "AllowInsecureFallback", secure: true, clients: fallback, fallback: true},
	}}
	var text, listeners, perPort strings.Builder
	for i, e := range h.entrances {
		e.port = port.Free(t)
		protocol := "HTTP"
		if e.secure {
			protocol = "HTTPS, tls: {certificateRefs: [{name: web}]}"
		}
		fmt.Fprintf(&listeners, "  - {name: l%d, port: %d, protocol: %s}\n", i, e.port, protocol)
		if e.clients != "" {
			fmt.Fprintf(&perPort, "      - "+e.clients+"\n", e.port)
		}
	}
	fmt.Fprintf(&text, "%s  listeners:\n%s  tls:\n    frontend:\n      default: {}\n      perPort:\n%s",
		houseText, &listeners, &perPort)
	presented := h.shop.leaf(append(server, func(r *pki.Request) { r.DNS = []string{"*.example.com"} })...)
	key, err := presented.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: default}\n"+
		"type: kubernetes.io/tls\nstringData: {tls.crt: %q, tls.key: %q}\n", presented.ChainPEM(), key)
	fmt.Fprintf(&text, configMapText, "clients", "default", "ca.crt", h.shop.root.PEM())
	fmt.Fprintf(&text, routeText, "echo", "echo", "")
	for name, filter := range filters {
		fmt.Fprintf(&text, routeText, name, name, ", filters: ["+filter+"]")
	}
	h.build(t, text.String(), now)
	return h
}

func (h *house) build(t testing.TB, text string, now time.Time) {
	t.Helper()
	set, problems := manifest.Parse([]manifest.File{{Path: "house.yaml", Data: []byte(text)}})
	if len(problems) > 0 {
		t.Fatalf("the manifests are wrong: %v\n%s", problems, text)
	}
	snap := set.Snapshot()
	snap.Now = now
	h.reports = resolve.Build(snap)
	h.gateway = h.reports.Gateways[gwapi.KeyOf(gwapi.KindGateway, "default", "matrix")]
	if len(h.gateway.Listeners) != len(h.entrances) || len(h.gateway.Backends) != 1 {
		t.Fatalf("%d listeners and %d backends were built", len(h.gateway.Listeners), len(h.gateway.Backends))
	}
}

// open runs an Envoy with the Gateway and a backend behind it; edit may change
// what Envoy is sent.
func (h *house) open(t testing.TB, edit func(*envoy.Resources)) {
	t.Helper()
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Trailers are there once the body has been read.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(echo{Header: r.Header, Trailer: r.Trailer}); err != nil {
			t.Error(err)
		}
	}))
	backend.Config.Protocols = &http.Protocols{}
	backend.Config.Protocols.SetUnencryptedHTTP2(true)
	backend.Start()
	t.Cleanup(backend.Close)
	resources, faults := envoy.Translate(h.gateway)
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	if edit != nil {
		edit(&resources)
	}
	address := netip.MustParseAddrPort(backend.Listener.Addr().String())
	assignment := envoy.Endpoints(h.gateway.Backends[0].Name(), []model.Endpoint{{Address: address, Ready: true}})
	h.running = envoyvalidate.Run(t, resources, assignment)
}

// visit is how a client asks.
type visit struct {
	visitor *visitor
	version uint16 // of TLS, 0 for any
	h2      bool
	// sessions are kept from one visit to the next.
	sessions tls.ClientSessionCache
	// host is the first label, "" for echo.
	host            string
	header, trailer http.Header
}

// ask asks over a connection of its own.
func (h *house) ask(t testing.TB, at *entrance, v visit) answer {
	t.Helper()
	config := &tls.Config{
		RootCAs: h.roots(), ServerName: "echo.example.com", MaxVersion: v.version,
		MinVersion: tls.VersionTLS12, GetClientCertificate: v.visitor.present, ClientSessionCache: v.sessions,
		NextProtos: []string{"http/1.1"},
	}
	transport := &http.Transport{TLSClientConfig: config, Protocols: &http.Protocols{}}
	transport.Protocols.SetHTTP1(!v.h2)
	scheme := "http"
	switch {
	case at.secure:
		scheme = "https"
		transport.Protocols.SetHTTP2(v.h2)
		if v.h2 {
			config.NextProtos = []string{"h2"}
		}
	default:
		transport.Protocols.SetUnencryptedHTTP2(v.h2)
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		fmt.Sprintf("%s://127.0.0.1:%d/", scheme, at.port), strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "echo.example.com"
	if v.host != "" {
		request.Host = v.host + ".example.com"
	}
	if v.header != nil {
		request.Header = v.header.Clone()
	}
	if v.trailer != nil {
		request.Trailer, request.ContentLength = v.trailer, -1
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		// TLS 1.3 tells a client that it is refused after the client's handshake.
		return answer{refused: !strings.Contains(err.Error(), "stream error")}
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, resumed: response.TLS != nil && response.TLS.DidResume}
	if a.status == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(&a.got); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return a
}

func (h *house) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(h.shop.root.Certificate)
	return pool
}
