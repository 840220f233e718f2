package envoy

import (
	"os"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// gate is a sound downstream context, to be broken on purpose.
type gate struct {
	context *tlsv3.DownstreamTlsContext
	clients *model.ClientValidation
}

func (g *gate) validation() *tlsv3.CertificateValidationContext {
	return g.context.GetCommonTlsContext().GetValidationContext()
}

func (g *gate) trustedCA(text string) {
	g.validation().TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
}

// judge breaks a sound gate and asserts it.
func judge(t *testing.T, clients *model.ClientValidation, change func(*gate)) error {
	t.Helper()
	translation := &translation{bundles: &bundles{}, out: Resources{Secrets: map[string]*tlsv3.Secret{}}}
	server := model.Server{Name: "web", Certificates: []model.KeyPair{*keyPair(t)}, Clients: clients}
	socket, err := translation.downstreamTLS(server, "h2")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{context: &tlsv3.DownstreamTlsContext{}, clients: clients}
	if err := socket.GetTypedConfig().UnmarshalTo(g.context); err != nil {
		t.Fatal(err)
	}
	change(g)
	packed, err := anypb.New(g.context)
	if err != nil {
		t.Fatal(err)
	}
	socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: packed}
	return assertDownstream(socket, g.clients, translation.out.Secrets, translation.bundles)
}

func TestADownstreamContextThatLetsInMoreThanTheServerSaysIsNotPublished(t *testing.T) {
	strict := func() *model.ClientValidation {
		return &model.ClientValidation{Anchors: soundBackend(t).Trust.Anchors}
	}
	loose := func() *model.ClientValidation {
		return &model.ClientValidation{Anchors: soundBackend(t).Trust.Anchors, Fallback: true}
	}
	nobody := func() *model.ClientValidation { return nil }
	server, err := os.ReadFile("testdata/server.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		says    string
		clients func() *model.ClientValidation
		change  func(*gate)
		want    string
	}{
		{"as it was made", strict, func(*gate) {}, ""},
		{"with fallback, as it was made", loose, func(*gate) {}, ""},
		{"without clients, as it was made", nobody, func(*gate) {}, ""},
		{"a certificate is required without a CA", strict, func(g *gate) { g.validation().TrustedCa = nil }, "A13"},
		{"the CA is empty", strict, func(g *gate) { g.trustedCA("") }, "A13"},
		{"the CA is no certificate", strict, func(g *gate) { g.trustedCA("x") }, "A13"},
		{"there is a CA more", strict, func(g *gate) {
			g.trustedCA(g.validation().GetTrustedCa().GetInlineString() + string(server))
		}, "A13"},
		{"the CA is a file", strict, func(g *gate) {
			g.validation().TrustedCa.Specifier = &corev3.DataSource_Filename{Filename: "/etc/ssl/ca.pem"}
		}, "A13"},
		{"the digest is of another CA", strict, func(g *gate) { g.clients.AnchorsDigest = "other" }, "A13"},
		{"there is no validation context", strict, func(g *gate) {
			g.context.CommonTlsContext.ValidationContextType = nil
		}, "A13"},
		{"the validation context is a secret", strict, func(g *gate) {
			g.context.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ca"},
			}
		}, "A13"},
		{"untrusted certificates are accepted", strict, func(g *gate) {
			g.validation().TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}, "A13"},
		{"with fallback they are not", loose, func(g *gate) { g.validation().TrustChainVerification = 0 }, "A13"},
		{"a certificate is not required", strict, func(g *gate) {
			g.context.RequireClientCertificate = wrapperspb.Bool(false)
		}, "A13"},
		{"nothing is said of whether one is required", strict, func(g *gate) { g.context.RequireClientCertificate = nil }, "A13"},
		{"with fallback it is required", loose, func(g *gate) {
			g.context.RequireClientCertificate = wrapperspb.Bool(true)
		}, "A13"},
		{"expired certificates are accepted", strict, func(g *gate) { g.validation().AllowExpiredCertificate = true }, "A13"},
		{"names are asked for", strict, func(g *gate) {
			g.validation().MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{{
				SanType: tlsv3.SubjectAltNameMatcher_DNS,
				Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "a"}},
			}}
		}, "A13"},
		{"tickets resume sessions", strict, func(g *gate) { g.context.SessionTicketKeysType = nil }, "A13"},
		{"tickets of configured keys do", loose, func(g *gate) {
			g.context.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_SessionTicketKeys{
				SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{{}}},
			}
		}, "A13"},
		{"the session cache does", loose, func(g *gate) { g.context.DisableStatefulSessionResumption = false }, "A13"},
		{"a field nobody thought about is set", nobody, func(g *gate) {
			g.context.SessionTimeout = durationpb.New(1)
		}, "A13"},
		{"certificates are looked at that nobody asked for", nobody, func(g *gate) {
			g.context.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
				ValidationContext: &tlsv3.CertificateValidationContext{},
			}
		}, "A13"},
		{"the certificate is of a secret that is not delivered", nobody, func(g *gate) {
			g.context.CommonTlsContext.TlsCertificateSdsSecretConfigs[0].Name = "elsewhere/web"
		}, "A8"},
	} {
		err := judge(t, test.clients(), test.change)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.says, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want+": ")):
			t.Errorf("%s: %v, want %s", test.says, err, test.want)
		}
	}
}

func TestAServerThatVerifiesClientsWithoutACAIsNotServed(t *testing.T) {
	translation := &translation{bundles: &bundles{}, out: Resources{Secrets: map[string]*tlsv3.Secret{}}}
	server := model.Server{Certificates: []model.KeyPair{*keyPair(t)}, Clients: &model.ClientValidation{}}
	for _, server.Clients.Fallback = range []bool{false, true} {
		if socket, err := translation.downstreamTLS(server); err == nil || socket != nil {
			t.Errorf("fallback %t: %v, %v", server.Clients.Fallback, socket, err)
		}
	}
}
