package envoy_test

import (
	"crypto/sha256"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// fixture reads the PEM files of testdata.
type fixture struct {
	ca, leaf, list         []byte // DER
	serverChain, serverKey []byte // PEM
}

func read(tb testing.TB) fixture {
	tb.Helper()
	file := func(name string) []byte {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			tb.Fatal(err)
		}
		return content
	}
	der := func(name string) []byte {
		block, _ := pem.Decode(file(name))
		return block.Bytes
	}
	return fixture{
		ca: der("ca.pem"), leaf: der("leaf.pem"), list: der("list.crl"),
		serverChain: file("server.pem"), serverKey: file("server.key"),
	}
}

var (
	policy  = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api")
	route   = gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "web")
	spki    = pin.Pin{Kind: pin.SPKI, Sum: sha256.Sum256([]byte("key"))}
	certPin = pin.Pin{Kind: pin.Certificate, Sum: sha256.Sum256([]byte("certificate"))}
	until   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// strict is a trust with a CA and a hostname, changed by the edits.
func (f fixture) strict(edits ...func(*model.Trust)) *model.Trust {
	trust := &model.Trust{
		Policy:  policy,
		Mode:    model.Standard,
		SNI:     "api.default.svc",
		Anchors: [][]byte{f.ca},
		Names:   []model.Name{{Kind: model.DNS, Value: "api.default.svc"}},
	}
	for _, edit := range edits {
		edit(trust)
	}
	return trust
}

func pinned(pins ...pin.Pin) func(*model.Trust) {
	return func(t *model.Trust) { t.Leaves = pins }
}

func pinsOnly(t *model.Trust) { t.Anchors, t.Names = nil, nil }

func lasting(mode model.Mode) func(*model.Trust) {
	return func(t *model.Trust) {
		t.Mode, t.Until = mode, until
		switch mode {
		case model.InsecureAllowExpired:
			t.IgnoreTime = true
		case model.InsecureSkipOnlySANVerification:
			t.Names = nil
		case model.InsecureSkipVerification:
			t.Anchors, t.Names, t.Leaves = nil, nil, nil
		case model.Standard:
		}
	}
}

// backend is a port of a Service in HTTP/1.1; a nil trust is plaintext.
func backend(service string, trust *model.Trust) model.Backend {
	return model.Backend{
		Service:  gwapi.KeyOf(gwapi.KindService, "default", service),
		Port:     443,
		Protocol: model.HTTP1,
		Trust:    trust,
	}
}

func speaking(protocol model.BackendProtocol, b model.Backend) model.Backend {
	b.Protocol = protocol
	return b
}

// gateway has one listener on port 8080 with the given hosts.
func gateway(backends []model.Backend, hosts ...model.VirtualHost) model.Gateway {
	return model.Gateway{
		Key:     gwapi.KeyOf(gwapi.KindGateway, "default", "gw"),
		Address: "127.0.0.1",
		Listeners: []model.Listener{{
			Port: 8080, Protocol: model.HTTP, Servers: []model.Server{{Name: "http", Hosts: hosts}},
		}},
		Backends: backends,
	}
}

// to is a rule for every path.
func to(shares ...model.WeightedBackend) model.Rule {
	return model.Rule{Route: route, Match: model.Match{Path: path(model.Prefix, "/")}, Split: shares}
}

func share(b model.Backend, weight uint32) model.WeightedBackend {
	return model.WeightedBackend{Backend: b.Name(), Weight: weight}
}

func path(kind model.MatchKind, value string) model.ValueMatch {
	return model.ValueMatch{Kind: kind, Value: value}
}

func host(name string, rules ...model.Rule) model.VirtualHost {
	return model.VirtualHost{Hostname: name, Rules: rules}
}

// cases are the models whose translations are kept in testdata.
func cases(tb testing.TB) map[string]model.Gateway {
	f := read(tb)
	return map[string]model.Gateway{
		"plain":     plainCase(),
		"trust":     trustCase(f),
		"https":     httpsCase(f),
		"isolation": isolationCase(),
		"clients":   clientsCase(f),
		"matches":   matchesCase(),
		"redirects": redirectsCase(),
		"failures":  failuresCase(f),
		"readiness": readinessCase(),
		"streams":   streamsCase(f),
		"calls":     callsCase(f),
	}
}

// readinessCase has a listener on the readiness port too, which the model never
// has.
func readinessCase() model.Gateway {
	g := gateway(nil, host("", to(model.WeightedBackend{Weight: 1})))
	g.Address, g.ReadinessPort = "0.0.0.0", model.DefaultReadinessPort
	clash := g.Listeners[0]
	clash.Port = model.DefaultReadinessPort
	g.Listeners = append(g.Listeners, clash)
	return g
}

func plainCase() model.Gateway {
	api, grpc := backend("api", nil), speaking(model.HTTP2, backend("grpc", nil))
	g := gateway([]model.Backend{api, grpc}, host("", to(share(api, 1), share(grpc, 3))))
	g.ExclusivePorts = true
	g.Address = "::1"
	return g
}

// trustCase has every cell of the mode and trust table that differs in Envoy.
func trustCase(f fixture) model.Gateway {
	leafTrusted := func(t *model.Trust) {
		t.Anchors = [][]byte{f.leaf}
		t.Leaves = []pin.Pin{{Kind: pin.Certificate, Sum: sha256.Sum256(f.leaf)}}
	}
	backends := []model.Backend{
		backend("ca", f.strict()),
		backend("ca-alpn", f.strict(func(t *model.Trust) { t.ALPN = []string{"http/1.1"} })),
		backend("ca-names", f.strict(func(t *model.Trust) {
			t.Names = []model.Name{
				{Kind: model.DNS, Value: "*.example.com"},
				{Kind: model.URI, Value: "spiffe://cluster.local/ns/default/sa/api"},
			}
		})),
		backend("ca-pins", f.strict(pinned(certPin, spki))),
		backend("ca-allow-expired", f.strict(lasting(model.InsecureAllowExpired))),
		backend("ca-skip-name", f.strict(lasting(model.InsecureSkipOnlySANVerification))),
		backend("pins", f.strict(pinsOnly, pinned(spki))),
		backend("trusted", f.strict(leafTrusted)),
		backend("trusted-allow-expired", f.strict(leafTrusted, lasting(model.InsecureAllowExpired))),
		backend("two-cas", f.strict(func(t *model.Trust) { t.Anchors = [][]byte{f.ca, f.leaf} })),
		backend("skip", f.strict(lasting(model.InsecureSkipVerification))),
		backend("skip-unlimited", f.strict(lasting(model.InsecureSkipVerification), func(t *model.Trust) {
			t.Until = time.Time{}
		})),
		speaking(model.HTTP2, backend("h2", f.strict())),
	}
	var hosts []model.VirtualHost
	for _, b := range backends {
		hosts = append(hosts, host(b.Service.Name+".example.com", to(share(b, 1))))
	}
	return gateway(backends, hosts...)
}

func httpsCase(f fixture) model.Gateway {
	api := backend("api", nil)
	pair := model.KeyPair{
		Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "server"), Chain: f.serverChain, Key: f.serverKey,
	}
	g := gateway([]model.Backend{api})
	g.Listeners = append(g.Listeners, model.Listener{
		Port: 8443, Protocol: model.HTTPS, Servers: []model.Server{
			{
				Name: "any", Certificates: []model.KeyPair{pair, pair},
				Hosts: []model.VirtualHost{
					host("", to(share(api, 1))),
					host("a.example.com", to(share(api, 1))), // taken by wildcard
				},
			},
			{
				Name: "exact", Hostname: "api.example.com", Certificates: []model.KeyPair{pair},
				Hosts: []model.VirtualHost{host("api.example.com", to(share(api, 1)))},
			},
			{Name: "no-certificate", Hostname: "other.example.com"},
			{
				Name: "wildcard", Hostname: "*.example.com", Certificates: []model.KeyPair{pair},
				Hosts: []model.VirtualHost{
					host("b.example.com", to(share(api, 1))),
					host("elsewhere.org", to(share(api, 1))), // not the listener's
				},
			},
		},
	})
	return g
}

// clientsCase asks clients for certificates on two of three ports, and on the
// second lets in whoever has none. A server without a CA has no filter chain.
func clientsCase(f fixture) model.Gateway {
	api := backend("api", nil)
	pair := model.KeyPair{
		Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "server"), Chain: f.serverChain, Key: f.serverKey,
	}
	server := func(name string, clients *model.ClientValidation) model.Server {
		redirect := model.Rule{
			Route: route, Index: 1, Match: model.Match{Path: path(model.Prefix, "/old")},
			Redirect: &model.Redirect{Hostname: "new.example.com", StatusCode: 302},
		}
		return model.Server{
			Name: name, Hostname: name + ".example.com", Certificates: []model.KeyPair{pair}, Clients: clients,
			Hosts: []model.VirtualHost{host("", redirect, to(share(api, 1)))},
		}
	}
	g := gateway([]model.Backend{api})
	g.Listeners = []model.Listener{
		{Port: 8443, Protocol: model.HTTPS, Servers: []model.Server{
			server("strict", &model.ClientValidation{Anchors: [][]byte{f.ca, f.leaf}}),
			server("without-a-ca", &model.ClientValidation{}),
		}},
		{Port: 8444, Protocol: model.HTTPS, Servers: []model.Server{
			server("fallback", &model.ClientValidation{Anchors: [][]byte{f.ca}, Fallback: true}),
		}},
		{Port: 8445, Protocol: model.HTTPS, Servers: []model.Server{server("anybody", nil)}},
	}
	return g
}

func isolationCase() model.Gateway {
	api := backend("api", nil)
	g := gateway([]model.Backend{api})
	g.Listeners[0].Servers = []model.Server{
		{Name: "any", Hosts: []model.VirtualHost{
			host("", to(share(api, 1))),
			host("*.a.example.com", to(share(api, 1))), // taken by wildcard
			host("api.example.com", to(share(api, 1))), // taken by exact
			host("example.com", to(share(api, 1))),
		}},
		{Name: "exact", Hostname: "api.example.com"},
		{Name: "exact-again", Hostname: "api.example.com"},
		{Name: "shouting", Hostname: "API.example.com"},
		{Name: "wildcard", Hostname: "*.example.com", Hosts: []model.VirtualHost{
			host("x.example.com", to(share(api, 1))),
		}},
	}
	g.Listeners = append(g.Listeners, model.Listener{Port: 8080, Protocol: model.HTTP}, model.Listener{
		Port: 8081, Protocol: model.HTTP,
	})
	return g
}

func matchesCase() model.Gateway {
	api := backend("api", nil)
	rule := func(match model.Match) model.Rule {
		return model.Rule{Route: route, Match: match, Split: []model.WeightedBackend{share(api, 1)}}
	}
	headers := rule(model.Match{
		Path: path(model.Prefix, "/v1/"), Method: "POST",
		Headers: []model.ValueMatch{
			{Kind: model.Exact, Name: "X-Version", Value: "1"},
			{Kind: model.Regex, Name: "x-user", Value: "a.*|b"},
		},
		Query: []model.ValueMatch{
			{Kind: model.Exact, Name: "q", Value: "1"}, {Kind: model.Regex, Name: "r", Value: "[0-9]+"},
		},
	})
	headers.RequestHeaders = model.HeaderModifier{
		Set:    []model.Header{{Name: "X-Set", Value: "100%"}, {Name: "x-gone", Value: "set"}},
		Add:    []model.Header{{Name: "X-Add", Value: "%DOWNSTREAM_REMOTE_ADDRESS%"}, {Name: "x-empty"}},
		Remove: []string{"X-Gone", "x-gone"},
	}
	return gateway([]model.Backend{api}, host("",
		headers,
		rule(model.Match{Path: path(model.Exact, "/exact")}),
		rule(model.Match{Path: path(model.Regex, `/re/[a-z]{1,3}(/\d+)?`)}),
		rule(model.Match{Path: path(model.Prefix, "/prefix")}),
		rule(model.Match{}),
	))
}

func redirectsCase() model.Gateway {
	redirect := func(match string, r model.Redirect) model.Rule {
		return model.Rule{Route: route, Match: model.Match{Path: path(model.Prefix, match)}, Redirect: &r}
	}
	prefix := func(value string) *model.PathRewrite { return &model.PathRewrite{Kind: model.Prefix, Value: value} }
	g := gateway(nil,
		host("exact.example.com", redirect("/", model.Redirect{Scheme: "https", StatusCode: 301})),
		host("*.example.com", redirect("/", model.Redirect{Scheme: "https", Port: 443, StatusCode: 308})),
		host("port.example.com", redirect("/", model.Redirect{Scheme: "https", Port: 8443})),
		host("host.example.com", redirect("/", model.Redirect{Hostname: "other.example.com", StatusCode: 303})),
		host("same.example.com", redirect("/", model.Redirect{Port: 80, StatusCode: 307})),
		host("paths.example.com",
			redirect("/full", model.Redirect{Path: &model.PathRewrite{Kind: model.Exact, Value: "/whole"}}),
			redirect("/foo", model.Redirect{Path: prefix("/xyz/")}),
			redirect("/f.o/", model.Redirect{Path: prefix("/")}),
			redirect("/", model.Redirect{Path: prefix("/all")}),
		),
	)
	elsewhere := []model.Server{{Hosts: []model.VirtualHost{
		host("", redirect("/", model.Redirect{Hostname: "other.example.com"})),
	}}}
	g.Listeners = append(
		g.Listeners,
		model.Listener{Port: 10080, Declared: 80, Protocol: model.HTTP, Servers: elsewhere},
		model.Listener{Port: 10081, Declared: 10081, Protocol: model.HTTP, Servers: elsewhere},
	)
	return g
}

// failuresCase has a fault of each kind beside neighbours that must not notice.
func failuresCase(f fixture) model.Gateway {
	good, ip := backend("good", f.strict()), backend("ip", f.strict(func(t *model.Trust) { t.SNI = "10.0.0.1" }))
	loose := backend("loose", f.strict(func(t *model.Trust) { t.Anchors, t.Names = nil, nil }))
	invalid := model.WeightedBackend{Weight: 1}
	edit := func(change func(*model.Rule)) model.Rule {
		rule := to(share(good, 1))
		change(&rule)
		return rule
	}
	return gateway([]model.Backend{good, ip, loose},
		host("good.example.com", to(share(good, 1))),
		host("half.example.com", to(share(good, 9), invalid)),
		host("whole.example.com", to(invalid, invalid)),
		host("none.example.com", to()),
		host("zero.example.com", to(share(good, 0))),
		host("ip.example.com", to(share(ip, 1), share(good, 1))),
		host("loose.example.com", to(share(loose, 1))),
		host("unknown.example.com", to(model.WeightedBackend{Backend: "default/x/1/0", Weight: 1})),
		host("overflow.example.com", to(share(good, 1<<31), share(good, 1<<31))),
		host("rules.example.com",
			edit(func(r *model.Rule) { r.Index, r.Match.Path = 1, path(model.Regex, "/(") }),
			edit(func(r *model.Rule) { r.Index, r.Match.Path = 2, path(model.Regex, `/\pL+`) }),
			edit(func(r *model.Rule) { r.Index, r.Match.Path = 3, path(model.Regex, `/([^a]{30}){33}`) }),
			edit(func(r *model.Rule) {
				r.Index, r.RequestHeaders.Set = 4, []model.Header{{Name: "Host", Value: "evil.example.com"}}
			}),
			edit(func(r *model.Rule) {
				r.Index, r.Match.Headers = 5, []model.ValueMatch{{Name: ":path", Value: "/"}}
			}),
			edit(func(r *model.Rule) { r.Index, r.Redirect = 6, &model.Redirect{StatusCode: 200} }),
			edit(func(r *model.Rule) { r.Index, r.RequestHeaders.Remove = 7, []string{":method"} }),
			edit(func(r *model.Rule) {
				r.Index, r.RequestHeaders.Add = 8, []model.Header{{Name: "X-Envoy-Retry-On", Value: "5xx"}}
			}),
			to(share(good, 1)),
		),
	)
}
