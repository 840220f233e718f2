package envoyvalidate_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/envoyvalidate"
	"github.com/backendtls/backendtls/test/port"
)

// site is a model under construction, and an Envoy that serves it.
type site struct {
	t           *testing.T
	gateway     model.Gateway
	assignments []*endpointv3.ClusterLoadAssignment
	running     *envoyvalidate.Running
}

// newSite has a free port of HTTP and one of HTTPS, without servers.
func newSite(t *testing.T) *site {
	t.Helper()
	return &site{t: t, gateway: model.Gateway{
		Key:            gwapi.KeyOf(gwapi.KindGateway, "default", "gw"),
		Address:        "127.0.0.1",
		ExclusivePorts: true,
		Listeners: []model.Listener{
			{Port: int32(port.Free(t)), Protocol: model.HTTP},
			{Port: int32(port.Free(t)), Protocol: model.HTTPS},
		},
	}}
}

// backend is served by a test server; its share is returned.
func (s *site) backend(name string, server *httptest.Server, trust *model.Trust) model.WeightedBackend {
	s.t.Helper()
	b := model.Backend{
		Service: gwapi.KeyOf(gwapi.KindService, "default", name), Port: 443, Protocol: model.HTTP1, Trust: trust,
	}
	address, err := netip.ParseAddrPort(server.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.gateway.Backends = append(s.gateway.Backends, b)
	s.assignments = append(s.assignments,
		envoy.Endpoints(b.Name(), []model.Endpoint{{Address: address, Ready: true}}))
	return model.WeightedBackend{Backend: b.Name(), Weight: 1}
}

// start translates and runs; a listener without servers is left out.
func (s *site) start() {
	s.t.Helper()
	served := s.gateway
	served.Listeners = nil
	for _, l := range s.gateway.Listeners {
		if len(l.Servers) > 0 {
			served.Listeners = append(served.Listeners, l)
		}
	}
	resources, faults := envoy.Translate(served)
	if len(faults) > 0 {
		s.t.Fatalf("faults: %v", faults)
	}
	s.running = envoyvalidate.Run(s.t, resources, s.assignments...)
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for a path of a host over HTTP, and does not follow redirects.
func (s *site) get(host, path string, edits ...func(*http.Request)) answer {
	s.t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d%s", s.gateway.Listeners[0].Port, path)
	got, err := s.ask(&http.Transport{DisableKeepAlives: true}, url, host, edits...)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *site) ask(
	transport *http.Transport, url, host string, edits ...func(*http.Request),
) (answer, error) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Host = host
	for _, edit := range edits {
		edit(request)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, errors.Join(err, response.Body.Close())
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("../../internal/envoy/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tlsBackend serves the fixture's certificate, for example.com, and answers
// with the headers of the request.
func tlsBackend(t *testing.T) *httptest.Server {
	t.Helper()
	certificate, err := tls.X509KeyPair(fixture(t, "server.pem"), fixture(t, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Path", r.URL.Path)
	if err := json.NewEncoder(w).Encode(r.Header); err != nil {
		panic(err)
	}
}

func rule(match model.Match, shares ...model.WeightedBackend) model.Rule {
	return model.Rule{Route: gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "web"), Match: match, Split: shares}
}

func host(name string, rules ...model.Rule) model.VirtualHost {
	return model.VirtualHost{Hostname: name, Rules: rules}
}

func prefix(value string) model.Match {
	return model.Match{Path: model.ValueMatch{Kind: model.Prefix, Value: value}}
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(fixture(t, name))
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestATrustDecidesWhetherABackendIsReached(t *testing.T) {
	server := tlsBackend(t)
	leaf, ca := certificate(t, "server.pem"), certificate(t, "ca.pem")
	policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api")
	byName := func(name string) *model.Trust {
		return &model.Trust{
			Policy: policy, Mode: model.Standard, SNI: "example.com",
			Anchors: [][]byte{ca.Raw}, Names: []model.Name{{Kind: model.DNS, Value: name}},
		}
	}
	byPin := func(p pin.Pin) *model.Trust {
		return &model.Trust{Policy: policy, Mode: model.Standard, SNI: "example.com", Leaves: []pin.Pin{p}}
	}
	s := newSite(t)
	cases := []struct {
		name   string
		trust  *model.Trust
		status int
		why    string
	}{
		{"right", byName("example.com"), 200, ""},
		{"wrongname", byName("example.org"), 503, "SAN_matcher"},
		{"pin", byPin(pin.OfKey(leaf)), 200, ""},
		{"certpin", byPin(pin.OfCertificate(leaf)), 200, ""},
		{"capin", byPin(pin.OfKey(ca)), 503, "cert_hash_and_spki"},
		{"skip", &model.Trust{Policy: policy, Mode: model.InsecureSkipVerification, SNI: "example.com"}, 200, ""},
	}
	var hosts []model.VirtualHost
	for _, c := range cases {
		hosts = append(hosts, host(c.name+".test", rule(prefix("/"), s.backend(c.name, server, c.trust))))
	}
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: hosts}}
	s.start()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := s.get(c.name+".test", "/"); got.status != c.status {
				t.Errorf("got %d, want %d", got.status, c.status)
			}
			line := s.running.Logged(t, func(line map[string]any) bool { return line["authority"] == c.name+".test" })
			if line["policy"] != "default/api" || line["mode"] != string(c.trust.Mode) {
				t.Errorf("policy %v, mode %v", line["policy"], line["mode"])
			}
			if reason, _ := line["upstream_transport_failure"].(string); !strings.Contains(reason, c.why) ||
				(reason == "") != (c.why == "") {
				t.Errorf("failure %q, want %q", reason, c.why)
			}
			if line["endpoint"] != server.Listener.Addr().String() {
				t.Errorf("endpoint %v", line["endpoint"])
			}
			if c.status == http.StatusOK && line["upstream_tls"] != "TLSv1.3" {
				t.Errorf("TLS version %v", line["upstream_tls"])
			}
		})
	}
}

func TestRequestsThatMustFailGet500(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	good := s.backend("good", server, nil)
	invalid := model.WeightedBackend{Weight: 1000}
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: []model.VirtualHost{
		host("whole.test", rule(prefix("/"), invalid)),
		host("part.test", rule(prefix("/"), model.WeightedBackend{Backend: good.Backend, Weight: 1}, invalid)),
		host("good.test", rule(prefix("/"), good)),
	}}}
	s.start()
	for name, want := range map[string]int{"whole.test": 500, "good.test": 200, "unknown.test": 404} {
		if got := s.get(name, "/"); got.status != want {
			t.Errorf("%s: got %d, want %d", name, got.status, want)
		}
	}
	statuses := map[int]int{}
	for range 20 {
		statuses[s.get("part.test", "/").status]++
	}
	// One in a thousand is served: 20 times in a row has no chance.
	if statuses[500] == 0 || statuses[500]+statuses[200] != 20 {
		t.Errorf("part.test: %v", statuses)
	}
}

func TestRedirectsFollowTheTablesOfTheGatewayAPI(t *testing.T) {
	redirect := func(match string, r model.Redirect) model.Rule {
		made := rule(prefix(match))
		made.Redirect = &r
		return made
	}
	replace := func(match, value string) model.Rule {
		return redirect(match, model.Redirect{Path: &model.PathRewrite{Kind: model.Prefix, Value: value}})
	}
	s := newSite(t)
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: []model.VirtualHost{
		host("", redirect("/", model.Redirect{Scheme: "https", StatusCode: 301})),
		host("exact.test", redirect("/", model.Redirect{Scheme: "https", StatusCode: 308})),
		host("port.test", redirect("/", model.Redirect{Scheme: "https", Port: 8443})),
		host("same.test", redirect("/", model.Redirect{Port: 80})),
		host("host.test", redirect("/", model.Redirect{Hostname: "other.test"})),
		host("full.test", redirect("/", model.Redirect{
			Path: &model.PathRewrite{Kind: model.Exact, Value: "/whole"}, StatusCode: 307,
		})),
		host("a.test", replace("/foo", "/xyz")),
		host("b.test", replace("/foo/", "/xyz/")),
		host("c.test", replace("/foo", "")),
		host("d.test", replace("/foo", "/")),
		host("e.test", replace("/", "/xyz")),
	}}}
	s.start()
	for _, c := range []struct {
		host, path string
		status     int
		location   string
	}{
		{"any.test", "/p?q=1", 301, "https://any.test/p?q=1"},
		{"any.test:8080", "/p", 301, "https://any.test:443/p"},
		{"[::1]:8080", "/p", 301, "https://[::1]:443/p"},
		{"exact.test:8080", "/p", 308, "https://exact.test/p"},
		{"port.test:8080", "/", 302, "https://port.test:8443/"},
		{"same.test:8080", "/", 302, "http://same.test/"},
		{"host.test", "/p", 302, fmt.Sprintf("http://other.test:%d/p", s.gateway.Listeners[0].Port)},
		{"full.test", "/p?q=1", 307, "http://full.test/whole?q=1"},
		{"a.test", "/foo/bar", 302, "http://a.test/xyz/bar"},
		{"a.test", "/foo", 302, "http://a.test/xyz"},
		{"a.test", "/foo/", 302, "http://a.test/xyz/"},
		{"a.test:8080", "/foo", 302, "http://a.test:8080/xyz"},
		{"a.test", "/foobar", 404, ""},
		{"b.test", "/foo/bar?q", 302, "http://b.test/xyz/bar?q"},
		{"b.test", "/foo", 302, "http://b.test/xyz"},
		{"c.test", "/foo/bar", 302, "http://c.test/bar"},
		{"c.test", "/foo/", 302, "http://c.test/"},
		{"c.test", "/foo", 302, "http://c.test/"},
		{"c.test", "/foo?q=1", 302, "http://c.test/?q=1"},
		{"d.test", "/foo/bar", 302, "http://d.test/bar"},
		{"d.test", "/foo/", 302, "http://d.test/"},
		{"d.test", "/foo", 302, "http://d.test/"},
		{"e.test", "/bar", 302, "http://e.test/xyz/bar"},
		{"e.test", "/", 302, "http://e.test/xyz/"},
	} {
		got := s.get(c.host, c.path)
		if got.status != c.status || got.header.Get("Location") != c.location {
			t.Errorf("%s%s: got %d %q, want %d %q",
				c.host, c.path, got.status, got.header.Get("Location"), c.status, c.location)
		}
	}
}

func TestRequestsReachBackendsAsTheRuleSays(t *testing.T) {
	s := newSite(t)
	server := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	good := s.backend("good", server, nil)
	changing := rule(prefix("/"), good)
	changing.RequestHeaders = model.HeaderModifier{
		Set:    []model.Header{{Name: "X-Set", Value: "100% %DOWNSTREAM_REMOTE_ADDRESS%"}},
		Add:    []model.Header{{Name: "X-Add", Value: "b"}, {Name: "X-Gone", Value: "no"}, {Name: "X-Empty"}},
		Remove: []string{"X-Gone"},
	}
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: []model.VirtualHost{
		host("", rule(prefix("/public")), changing), // /public answers 500
	}}}
	s.start()
	response := s.get("web.test", "/admin", func(r *http.Request) {
		r.Header.Set("X-Set", "old")
		r.Header.Set("X-Add", "a")
		r.Header.Set("X-Gone", "yes")
		r.Header.Set("X-Forwarded-Client-Cert", "Hash=forged")
		r.Header.Set("X-Envoy-Upstream-Alt-Stat-Name", "forged")
		r.Header.Set("X-Envoy-Internal", "true")
		r.Header.Set("X-Request-Id", "forged")
	})
	var seen http.Header
	if err := json.Unmarshal(response.body, &seen); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-Set": "100% %DOWNSTREAM_REMOTE_ADDRESS%", "X-Add": "a,b", "X-Gone": "", "X-Forwarded-Client-Cert": "",
		"X-Envoy-Upstream-Alt-Stat-Name": "", "X-Envoy-Expected-Rq-Timeout-Ms": "", "X-Envoy-Internal": "",
	} {
		if got := strings.Join(seen.Values(name), ","); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
	if _, kept := seen["X-Empty"]; !kept || seen.Get("X-Request-Id") == "forged" {
		t.Errorf("x-empty is lost or x-request-id is the client's: %v", seen)
	}
	if got := response.header.Get("Server"); got != "backendtls" {
		t.Errorf("server header %q", got)
	}
	for path, want := range map[string]string{
		"/public/../admin": "/admin", "/a//b": "/a//b", "/public%2F..%2Fadmin": "/public/../admin",
	} {
		got := s.get("web.test", path)
		if got.status != http.StatusOK || got.header.Get("X-Path") != want {
			t.Errorf("%s: got %d %q, want 200 %q", path, got.status, got.header.Get("X-Path"), want)
		}
	}
	underscore := s.get("web.test", "/", func(r *http.Request) { r.Header["x_forwarded_for"] = []string{"1.2.3.4"} })
	if underscore.status != http.StatusBadRequest {
		t.Errorf("a header with an underscore: got %d, want 400", underscore.status)
	}
}

func TestAConnectionGetsOnlyTheHostsOfItsServerName(t *testing.T) {
	pair := model.KeyPair{
		Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "server"),
		Chain:  fixture(t, "server.pem"), Key: fixture(t, "server.key"),
	}
	server := func(hostname string, hosts ...model.VirtualHost) model.Server {
		return model.Server{
			Name: "s" + strconv.Itoa(len(hostname)), Hostname: hostname,
			Certificates: []model.KeyPair{pair}, Hosts: hosts,
		}
	}
	gone := rule(prefix("/")) // no backend: 500 says that the rule was reached
	s := newSite(t)
	s.gateway.Listeners[1].Servers = []model.Server{
		server("*.example.com", host("b.example.com", gone)),
		server("api.example.com", host("", gone)),
		server("example.com", host("", gone)),
	}
	s.start()
	for _, c := range []struct {
		sni, host string
		status    int // 0: the handshake is refused
	}{
		{"api.example.com", "api.example.com", 500},
		{"api.example.com", "api.example.com:8443", 500},
		{"api.example.com", "b.example.com", 421},
		{"api.example.com", "example.com", 421},
		{"api.example.com", "example.org", 404},
		{"b.example.com", "b.example.com", 500},
		{"b.example.com", "c.example.com", 404},
		{"b.example.com", "api.example.com", 421},
		{"example.com", "example.com", 500},
		{"example.org", "api.example.com", 0},
		{"", "api.example.com", 0},
	} {
		transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			ServerName: c.sni, MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: true, // only the refusal and the status matter
		}}
		url := fmt.Sprintf("https://127.0.0.1:%d/", s.gateway.Listeners[1].Port)
		got, err := s.ask(transport, url, c.host)
		if got.status != c.status {
			t.Errorf("SNI %q, host %q: got %d (%v), want %d", c.sni, c.host, got.status, err, c.status)
		}
	}
}
