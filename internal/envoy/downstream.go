package envoy

import (
	"errors"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// downstreamTLS is the transport socket for clients of a server at which TLS
// ends, whatever is spoken inside; protocols are what Envoy agrees on by ALPN,
// none where it passes on bytes. No session ticket keys are configured: Envoy
// makes its own, so none can leak or outlive it.
func (t *translation) downstreamTLS(server model.Server, protocols ...string) (*corev3.TransportSocket, error) {
	common := &tlsv3.CommonTlsContext{
		TlsParams:     tlsParameters(),
		AlpnProtocols: protocols,
	}
	seen := map[string]bool{}
	for _, pair := range server.Certificates {
		name, ok := t.secret(pair)
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs,
			&tlsv3.SdsSecretConfig{Name: name, SdsConfig: overADS()})
	}
	if len(seen) == 0 {
		return nil, errors.New("it has no usable certificate")
	}
	context := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if server.Clients != nil {
		if err := t.askClients(context, server.Clients); err != nil {
			return nil, err
		}
	}
	socket, err := transportSocket(context)
	if err != nil {
		return nil, err
	}
	return socket, assertDownstream(socket, server.Clients, t.out.Secrets, t.bundles)
}

// askClients asks clients for a certificate. ACCEPT_UNTRUSTED is for
// AllowInsecureFallback, and for nothing else anywhere: Envoy looks at the
// certificate, lets the client in whatever it finds, and remembers what that was.
//
// Sessions are not resumed. Envoy says of a resumed one that the certificate was
// not verified, and asks for none, so that the backend would be told something
// else than at first; and what is required of a certificate is not part of what
// a session is bound to (source/common/tls/server_context_impl.cc).
func (t *translation) askClients(context *tlsv3.DownstreamTlsContext, clients *model.ClientValidation) error {
	if len(clients.Anchors) == 0 {
		return errors.New("A13: clients are to be verified, but there is no CA: Envoy would ask for no certificate")
	}
	verification := tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN
	if clients.Fallback {
		verification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	}
	context.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{
			TrustChainVerification: verification,
			TrustedCa: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: t.bundles.pem(pemCertificate, clients.Anchors)},
			},
		},
	}
	context.RequireClientCertificate = wrapperspb.Bool(!clients.Fallback)
	context.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{
		DisableStatelessSessionResumption: true,
	}
	context.DisableStatefulSessionResumption = true
	return nil
}
