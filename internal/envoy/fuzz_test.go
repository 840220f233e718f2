package envoy_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// source makes a model out of bytes: each byte is a choice, and where they end
// every choice is the first.
type source struct {
	fixture
	bytes []byte
}

func (s *source) choose(n int) int {
	if len(s.bytes) == 0 || n < 2 {
		return 0
	}
	choice := int(s.bytes[0]) % n
	s.bytes = s.bytes[1:]
	return choice
}

func (s *source) coin() bool { return s.choose(2) == 1 }

// text is a likely word, or whatever comes next.
func (s *source) text(words ...string) string {
	choice := s.choose(len(words) + 1)
	if choice < len(words) {
		return words[choice]
	}
	n := min(s.choose(32), len(s.bytes))
	text := string(s.bytes[:n])
	s.bytes = s.bytes[n:]
	return text
}

func (s *source) number(likely ...int) int {
	choice := s.choose(len(likely) + 1)
	if choice < len(likely) {
		return likely[choice]
	}
	return int(int32(s.choose(256)<<24 | s.choose(256)<<16 | s.choose(256)<<8 | s.choose(256)))
}

func (s *source) gateway() model.Gateway {
	g := model.Gateway{
		Key:            gwapi.KeyOf(gwapi.KindGateway, "default", s.text("gw")),
		Address:        s.text("127.0.0.1", "::1", ""),
		ExclusivePorts: s.coin(),
	}
	for range s.choose(5) {
		g.Backends = append(g.Backends, s.backend())
	}
	for range s.choose(4) {
		g.Listeners = append(g.Listeners, s.listener(g.Backends))
	}
	return g
}

func (s *source) backend() model.Backend {
	b := model.Backend{
		Service:  gwapi.KeyOf(gwapi.KindService, s.text("default", "other"), s.text("api", "web")),
		Port:     int32(s.number(443, 80)),
		Protocol: model.BackendProtocol(s.text(string(model.HTTP1), string(model.HTTP2), string(model.TCP))),
	}
	b.Mirror = s.choose(3) == 0
	if s.choose(4) > 0 {
		b.Trust = s.trust()
		b.SessionLimit = []time.Duration{0, model.NoSessionLimit, time.Minute}[s.choose(3)]
	}
	return b
}

func (s *source) trust() *model.Trust {
	t := &model.Trust{
		Policy: gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", s.text("api")),
		Mode: model.Mode(s.text(string(model.Standard), string(model.InsecureAllowExpired),
			string(model.InsecureSkipOnlySANVerification), string(model.InsecureSkipVerification))),
		SNI:        s.text("api.example.com", "10.0.0.1", "*.example.com"),
		IgnoreTime: s.coin(),
	}
	if s.coin() {
		t.Until = time.Unix(int64(s.number(0, 1)), 0)
	}
	for range s.choose(3) {
		t.Anchors = append(t.Anchors, [][]byte{s.ca, s.leaf, []byte(s.text(""))}[s.choose(3)])
	}
	for range s.choose(3) {
		t.Names = append(t.Names, model.Name{
			Kind: model.NameKind(s.text("DNS", "URI")), Value: s.text("api.example.com", "*.example.com", ""),
		})
	}
	for range s.choose(3) {
		t.Leaves = append(t.Leaves, pin.Pin{Kind: pin.Kind(s.choose(4)), Sum: [32]byte{byte(s.choose(256))}})
	}
	for range s.choose(3) {
		t.ALPN = append(t.ALPN, s.text("h2", "http/1.1"))
	}
	if s.coin() {
		s.extend(t)
	}
	return t
}

// extend adds what few trusts have.
func (s *source) extend(t *model.Trust) {
	for range s.choose(3) {
		t.CRLs = append(t.CRLs, [][]byte{s.list, s.ca, []byte(s.text(""))}[s.choose(3)])
	}
	t.RevokeChain = s.coin()
	versions := []uint16{0, tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS11}
	t.MinTLSVersion, t.MaxTLSVersion = versions[s.choose(4)], versions[s.choose(4)]
	for range s.choose(3) {
		t.Suites = append(t.Suites, s.text("ECDHE-RSA-AES128-GCM-SHA256", "NULL-MD5"))
		t.Curves = append(t.Curves, s.text("P-384", "secp112r1"))
		t.SignatureAlgorithms = append(t.SignatureAlgorithms, s.text("ed25519", "rsa_pkcs1_md5"))
	}
	if s.coin() {
		t.Identity = &model.KeyPair{
			Secret: gwapi.KeyOf(gwapi.KindSecret, "default", s.text("client")),
			Chain:  [][]byte{s.serverChain, s.serverKey, nil}[s.choose(3)],
			Key:    [][]byte{s.serverKey, s.serverChain, nil}[s.choose(3)],
		}
	}
}

func (s *source) listener(backends []model.Backend) model.Listener {
	l := model.Listener{
		Port:     int32(s.number(8080, 8443)),
		Protocol: model.Protocol(s.text(string(model.HTTP), string(model.HTTPS), string(model.TLS))),
	}
	for range s.choose(4) {
		server := model.Server{Name: s.text("a", "b"), Hostname: s.hostname(), Passthrough: s.choose(4) == 0}
		server.Clients = s.clients()
		for range s.choose(3) {
			server.Certificates = append(server.Certificates, model.KeyPair{
				Secret: gwapi.KeyOf(gwapi.KindSecret, "default", s.text("tls")),
				Chain:  [][]byte{s.serverChain, []byte(s.text(""))}[s.choose(2)],
				Key:    [][]byte{s.serverKey, []byte(s.text(""))}[s.choose(2)],
			})
		}
		for range s.choose(4) {
			virtual := model.VirtualHost{Hostname: s.hostname()}
			for range s.choose(4) {
				virtual.Rules = append(virtual.Rules, s.rule(backends))
			}
			server.Hosts = append(server.Hosts, virtual)
		}
		l.Servers = append(l.Servers, server)
	}
	return l
}

func (s *source) hostname() string {
	return s.text("", "*.example.com", "a.example.com", "*.a.example.com", "example.org")
}

func (s *source) rule(backends []model.Backend) model.Rule {
	r := model.Rule{
		Route: gwapi.KeyOf(gwapi.KindHTTPRoute, "default", s.text("web")), Index: s.choose(3),
		Match: model.Match{Path: s.value(), Method: s.text("", "GET"), GRPC: s.choose(4) == 0},
	}
	for range s.choose(3) {
		r.Match.Headers = append(r.Match.Headers, s.value())
	}
	for range s.choose(3) {
		r.Match.Query = append(r.Match.Query, s.value())
	}
	for range s.choose(3) {
		header := model.Header{Name: s.text("x-a", "host", ":path", "x_client-cert_verified"), Value: s.text("", "%REQ(:PATH)%")}
		r.RequestHeaders.Set = append(r.RequestHeaders.Set, header)
		r.RequestHeaders.Remove = append(r.RequestHeaders.Remove, s.text("x-a", "x-b"))
	}
	if s.choose(3) == 0 {
		r.Redirect = &model.Redirect{
			Scheme: s.text("", "http", "https"), Hostname: s.text("", "example.org"), Port: int32(s.number(0, 80, 443)),
			StatusCode: s.number(302, 301, 200),
		}
		if s.coin() {
			r.Redirect.Path = &model.PathRewrite{Kind: s.kind(), Value: s.text("/", "", "/x")}
		}
	}
	for range s.choose(4) {
		share := model.WeightedBackend{Backend: s.text(""), Weight: uint32(s.number(1, 0))}
		if len(backends) > 0 && s.choose(4) > 0 {
			share.Backend = backends[s.choose(len(backends))].Name()
		}
		r.Split = append(r.Split, share)
		if s.choose(4) == 0 {
			r.Mirrors = append(r.Mirrors, model.Mirror{
				Backend: share.Backend, Numerator: uint32(s.number(1, 100)), Denominator: uint32(s.number(100, 3, 0)),
			})
		}
	}
	return r
}

func (s *source) kind() model.MatchKind {
	return model.MatchKind(s.text(string(model.Prefix), string(model.Exact), string(model.Regex)))
}

func (s *source) value() model.ValueMatch {
	return model.ValueMatch{Kind: s.kind(), Name: s.text("x-a", ":path"), Value: s.text("/", "/a/", `/[a-z]+`, "")}
}

// noise is a long row of choices, the same for the same seed.
func noise(seed byte) []byte {
	sum := sha256.Sum256([]byte{seed})
	row := make([]byte, 0, 1024)
	for len(row) < cap(row) {
		row = append(row, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return row
}

// FuzzTranslate translates arbitrary models. Whatever they are, nothing
// panics, and what leaves is safe: judged here by rules written for Envoy's
// algorithm, not by the translation's own.
func FuzzTranslate(f *testing.F) {
	fixture := read(f)
	f.Add([]byte{})
	for seed := range byte(32) {
		f.Add(noise(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g := (&source{fixture: fixture, bytes: data}).gateway()
		resources, faults := envoy.Translate(g)
		for _, fault := range faults {
			if fault.Stack != "" {
				t.Errorf("%s\n%s", fault, fault.Stack)
			}
		}
		byName := map[string]model.Backend{}
		for _, b := range g.Backends {
			byName[b.Name()] = b
		}
		for name, cluster := range resources.Clusters {
			b, known := byName[name]
			if !known {
				t.Fatalf("cluster %s is no backend's", name)
			}
			if err := safe(cluster.Cluster, b.Trust); err != nil {
				t.Errorf("cluster %s of %+v: %v", name, b.Trust, err)
			}
		}
		checkRoutes(t, resources)
		checkEntrances(t, g, resources)
		for name, listener := range resources.Listeners {
			if err := listener.ValidateAll(); err != nil {
				t.Errorf("listener %s: %v", name, err)
			}
		}
		again, _ := envoy.Translate(g)
		if !bytes.Equal(encoded(t, resources), encoded(t, again)) {
			t.Error("the same model gives different bytes")
		}
	})
}

// safe is Envoy's algorithm: what a cluster verifies, held against the trust.
func safe(c *clusterv3.Cluster, trust *model.Trust) error {
	if err := c.ValidateAll(); err != nil {
		return err
	}
	if trust == nil {
		return nil
	}
	context := &tlsv3.UpstreamTlsContext{}
	if err := c.GetTransportSocket().GetTypedConfig().UnmarshalTo(context); err != nil {
		return fmt.Errorf("no TLS: %w", err)
	}
	v := context.GetCommonTlsContext().GetValidationContext()
	pins := len(v.GetVerifyCertificateHash()) + len(v.GetVerifyCertificateSpki())
	names, chain := len(v.GetMatchTypedSubjectAltNames()), v.GetTrustedCa().GetInlineString() != ""
	for _, spki := range v.GetVerifyCertificateSpki() {
		if sum, err := base64.StdEncoding.DecodeString(spki); err != nil || len(sum) != 32 {
			return fmt.Errorf("pin %q", spki)
		}
	}
	switch {
	case v.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN:
		return fmt.Errorf("accepts untrusted")
	case trust.Mode != model.InsecureSkipVerification && !chain && pins == 0:
		return fmt.Errorf("verifies nothing")
	case !chain && (names > 0 || v.GetAllowExpiredCertificate()):
		return fmt.Errorf("refused by Envoy: names or dates without a CA")
	case v.GetAllowExpiredCertificate() && trust.Mode != model.InsecureAllowExpired:
		return fmt.Errorf("accepts expired certificates in mode %q", trust.Mode)
	case chain && names == 0 && trust.Mode != model.InsecureSkipOnlySANVerification:
		return fmt.Errorf("accepts any name in mode %q", trust.Mode)
	case pins != len(trust.Leaves) || names != len(trust.Names) || chain != (len(trust.Anchors) > 0):
		return fmt.Errorf("verifies something else than the trust")
	case context.GetAutoHostSni() || context.GetAutoSniSanValidation():
		return fmt.Errorf("automatic names")
	case (v.GetCrl() != nil) != (len(trust.CRLs) > 0) || v.GetCrl() != nil && !chain:
		return fmt.Errorf("checks other revocation lists than the trust's, or without a CA")
	case v.GetCrl() != nil && v.GetOnlyVerifyLeafCertCrl() == trust.RevokeChain:
		return fmt.Errorf("checks revocation of other certificates")
	}
	return safeHandshake(context.GetCommonTlsContext(), trust)
}

// safeHandshake is what is offered and presented, held against the trust.
func safeHandshake(common *tlsv3.CommonTlsContext, trust *model.Trust) error {
	params := common.GetTlsParams()
	least, most := params.GetTlsMinimumProtocolVersion(), params.GetTlsMaximumProtocolVersion()
	offered := slices.Concat(params.GetCipherSuites(), params.GetEcdhCurves(), params.GetSignatureAlgorithms())
	switch {
	case least < tlsv3.TlsParameters_TLSv1_2 || most < least:
		return fmt.Errorf("speaks %s to %s", least, most)
	case trust.MinTLSVersion == tls.VersionTLS13 && least != tlsv3.TlsParameters_TLSv1_3:
		return fmt.Errorf("speaks less than TLS 1.3")
	case trust.MaxTLSVersion == tls.VersionTLS12 && most != tlsv3.TlsParameters_TLSv1_2:
		return fmt.Errorf("speaks more than TLS 1.2")
	case len(common.GetTlsCertificates()) > 1 || (len(common.GetTlsCertificates()) == 1) != (trust.Identity != nil):
		return fmt.Errorf("presents something else than the trust says")
	}
	for _, name := range offered {
		if !slices.Contains([]string{"ECDHE-RSA-AES128-GCM-SHA256", "P-384", "ed25519"}, name) {
			return fmt.Errorf("offers %q", name)
		}
	}
	return nil
}

// checkRoutes: every route is one Envoy takes, and leads to a cluster that is
// there, or to the one that never is.
func checkRoutes(t *testing.T, resources envoy.Resources) {
	t.Helper()
	for name, configuration := range resources.Routes {
		if err := configuration.ValidateAll(); err != nil {
			t.Errorf("routes %s: %v", name, err)
		}
		domains := map[string]bool{}
		for _, virtual := range configuration.GetVirtualHosts() {
			for _, domain := range virtual.GetDomains() {
				if domains[domain] {
					t.Errorf("routes %s: domain %s twice", name, domain)
				}
				domains[domain] = true
			}
			for _, route := range virtual.GetRoutes() {
				checkAction(t, resources, route)
			}
		}
	}
}

func checkAction(t *testing.T, resources envoy.Resources, route *routev3.Route) {
	t.Helper()
	if err := tellsTheTruth(route); err != nil {
		t.Errorf("route %s: %v", route.GetName(), err)
	}
	action := route.GetRoute()
	if action == nil {
		return
	}
	if action.GetClusterNotFoundResponseCode() != routev3.RouteAction_INTERNAL_SERVER_ERROR {
		t.Errorf("route %s: a missing cluster does not answer 500", route.GetName())
	}
	names := []string{action.GetCluster()}
	if weighted := action.GetWeightedClusters(); weighted != nil {
		names = nil
		for _, share := range weighted.GetClusters() {
			names = append(names, share.GetName())
		}
	}
	for _, name := range names {
		cluster, found := resources.Clusters[name]
		if !found && name != envoy.MissingCluster {
			t.Errorf("route %s leads to %q, which is not there", route.GetName(), name)
		}
		if found && forCopies(cluster.Cluster) {
			t.Errorf("route %s leads to %q, which is for copies", route.GetName(), name)
		}
	}
	for _, mirror := range action.GetRequestMirrorPolicies() {
		if !forCopies(resources.Clusters[mirror.GetCluster()].Cluster) {
			t.Errorf("route %s has copies sent to %q, which is not for copies", route.GetName(), mirror.GetCluster())
		}
	}
}

// forCopies says whether a cluster holds little, each for a short time.
func forCopies(c *clusterv3.Cluster) bool {
	limit := maxStreamDuration(c)
	few := c.GetCircuitBreakers().GetThresholds()[0].GetMaxConnections().GetValue() <= 256
	return few && 0 < limit && limit <= time.Minute && strings.HasSuffix(c.GetAltStatName(), "/mirror")
}

// encoded is every resource in its deterministic encoding, in an order.
func encoded(t *testing.T, resources envoy.Resources) []byte {
	t.Helper()
	all := map[string]proto.Message{}
	for name, cluster := range resources.Clusters {
		all["c"+name] = cluster.Cluster
	}
	for name, listener := range resources.Listeners {
		all["l"+name] = listener
	}
	for name, routes := range resources.Routes {
		all["r"+name] = routes
	}
	for name, secret := range resources.Secrets {
		all["s"+name] = secret
	}
	return deterministic(t, all)
}
