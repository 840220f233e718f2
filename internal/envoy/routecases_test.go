package envoy_test

import (
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// streamsCase has what ends at the Gateway and what is passed through on one
// port, and faults beside neighbours that must not notice.
func streamsCase(f fixture) model.Gateway {
	over := func(b model.Backend) model.Backend { return speaking(model.TCP, b) }
	good, plain := over(backend("good", f.strict())), over(backend("plain", nil))
	skip := over(backend("skip", f.strict(lasting(model.InsecureSkipVerification))))
	asked := over(backend("asked", f.strict(func(t *model.Trust) { t.ALPN = []string{"h2", "http/1.1"} })))
	loose := over(backend("loose", f.strict(func(t *model.Trust) { t.Anchors, t.Names = nil, nil })))
	stream := func(shares ...model.WeightedBackend) model.Rule {
		return model.Rule{Route: gwapi.KeyOf(gwapi.KindTLSRoute, "default", "tls"), Split: shares}
	}
	pair := model.KeyPair{
		Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "server"), Chain: f.serverChain, Key: f.serverKey,
	}
	g := gateway([]model.Backend{good, plain, skip, asked, loose})
	g.Listeners = []model.Listener{{Port: 8443, Protocol: model.TLS, Servers: []model.Server{
		{Name: "bare", Hostname: "bare.ends.example.com", Hosts: []model.VirtualHost{
			host("bare.ends.example.com", stream(share(good, 1))),
		}},
		{Name: "ends", Hostname: "*.ends.example.com", Certificates: []model.KeyPair{pair}, Hosts: []model.VirtualHost{
			host("asked.ends.example.com", stream(share(asked, 1))),
			host("bare.ends.example.com", stream(share(good, 1))), // taken by bare
			host("good.ends.example.com", stream(share(good, 1))),
			host("half.ends.example.com", stream(share(good, 9), model.WeightedBackend{Weight: 1})),
			host("loose.ends.example.com", stream(share(loose, 1))),
			host("none.ends.example.com"),
			host("other.example.org", stream(share(good, 1))), // not the listener's
			host("overflow.ends.example.com", stream(share(good, 1<<31), share(good, 1<<31))),
			host("plain.ends.example.com", stream(share(plain, 1))),
			host("skip.ends.example.com", stream(share(good, 1), share(skip, 1))),
			host("whole.ends.example.com", stream(model.WeightedBackend{Weight: 1})),
		}},
		{Name: "through", Passthrough: true, Hosts: []model.VirtualHost{
			host("", stream(share(plain, 1), share(plain, 2))),
			host("*.through.example.com", stream(share(plain, 1))),
		}},
	}}, {
		Port: 8444, Protocol: model.TLS, Servers: []model.Server{{Name: "idle", Passthrough: true}},
	}}
	return g
}

// copied is the backend that gets copies of what the backend gets.
func copied(b model.Backend) model.Backend {
	b.Mirror = true
	return b
}

// callsCase has matches of gRPC calls, and mirrors good and bad.
func callsCase(f fixture) model.Gateway {
	api, strict := speaking(model.HTTP2, backend("api", nil)), speaking(model.HTTP2, backend("strict", f.strict()))
	copies := copied(strict)
	loose := speaking(model.HTTP2, backend("loose", f.strict(func(t *model.Trust) { t.Anchors, t.Names = nil, nil })))
	call := func(p model.ValueMatch, shares ...model.WeightedBackend) model.Rule {
		return model.Rule{
			Route: gwapi.KeyOf(gwapi.KindGRPCRoute, "default", "calls"), Match: model.Match{Path: p, GRPC: true}, Split: shares,
		}
	}
	mirrored := call(path(model.Exact, "/shop.Cart/Add"), share(api, 1))
	mirrored.Mirrors = []model.Mirror{
		{Backend: copies.Name(), Numerator: 5, Denominator: 100},
		{Backend: copies.Name(), Numerator: 1, Denominator: 3},
		{Backend: copied(loose).Name(), Numerator: 1, Denominator: 1},
		{Backend: strict.Name(), Numerator: 1, Denominator: 1}, // not for copies
		{Backend: "default/x/1/0", Numerator: 1, Denominator: 1},
	}
	refused := call(path(model.Prefix, "/shop.Cart"), model.WeightedBackend{Weight: 1})
	refused.Mirrors = []model.Mirror{{Backend: copies.Name(), Numerator: 1, Denominator: 1}}
	wrong := call(path(model.Prefix, "/shop.List"), share(api, 1))
	wrong.Mirrors = []model.Mirror{{Backend: copies.Name(), Numerator: 2, Denominator: 1}}
	return gateway([]model.Backend{api, strict, copies, copied(loose), copied(api)}, host("calls.example.com",
		mirrored, refused, wrong,
		call(path(model.Exact, "/shop.Cart/Drop"), share(copies, 1)), // for copies alone
		call(path(model.Regex, "/[^/]+/Ping"), share(strict, 1)),
		call(path(model.Prefix, "/"), share(strict, 1), share(api, 1)),
	))
}
