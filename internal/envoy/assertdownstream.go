package envoy

import (
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// assertDownstream refuses a finished transport socket for clients that would
// let in more than its server asks for. Its labels, beside those of
// assertCluster:
//
//	A8   every secret that is named is delivered
//	A13  client certificates are asked for as the server says: with its CA, and
//	     without resumption; or not at all
func assertDownstream(
	socket *corev3.TransportSocket, clients *model.ClientValidation, secrets map[string]*tlsv3.Secret, known *bundles,
) error {
	context := &tlsv3.DownstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil || socket.GetName() != tlsSocket {
		return errors.New("A13: the transport socket holds no downstream TLS context")
	}
	common := context.GetCommonTlsContext()
	for _, secret := range common.GetTlsCertificateSdsSecretConfigs() {
		if secrets[secret.GetName()] == nil {
			return fmt.Errorf("A8: the secret %q is not delivered", secret.GetName())
		}
	}
	if err := assertKnownDownstream(context, clients); err != nil {
		return err
	}
	if clients == nil {
		if common.GetValidationContextType() != nil {
			return errors.New("A13: certificates of clients are looked at, which nobody asked for")
		}
		return nil
	}
	return assertClients(common.GetValidationContext(), clients, known)
}

// assertKnownDownstream refuses every field that was not thought about, and a
// resumption that was not switched off. The message is compared with one that is
// built anew, so that a field of a later Envoy is refused at first.
func assertKnownDownstream(context *tlsv3.DownstreamTlsContext, clients *model.ClientValidation) error {
	common := context.GetCommonTlsContext()
	expected := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams:                      common.GetTlsParams(),
		AlpnProtocols:                  common.GetAlpnProtocols(),
		TlsCertificateSdsSecretConfigs: common.GetTlsCertificateSdsSecretConfigs(),
		ValidationContextType:          common.GetValidationContextType(),
	}}
	if clients != nil {
		expected.RequireClientCertificate = wrapperspb.Bool(!clients.Fallback)
		expected.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{
			DisableStatelessSessionResumption: true,
		}
		expected.DisableStatefulSessionResumption = true
	}
	if !proto.Equal(expected, context) {
		return errors.New("A13: the TLS context requires another certificate of clients than the server says, " +
			"resumes sessions, or has a field that was not thought about")
	}
	return nil
}

// assertClients: every CA of the server is there, as a certificate that parses.
// Without one Envoy asks for no certificate at all, whatever is required.
func assertClients(v *tlsv3.CertificateValidationContext, clients *model.ClientValidation, known *bundles) error {
	verification := tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN
	if clients.Fallback {
		verification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	}
	expected := &tlsv3.CertificateValidationContext{
		TrustChainVerification: verification,
		TrustedCa:              v.GetTrustedCa(),
	}
	if v == nil || !proto.Equal(expected, v) {
		return errors.New("A13: certificates of clients are verified otherwise than the server says")
	}
	text, inline := v.GetTrustedCa().GetSpecifier().(*corev3.DataSource_InlineString)
	if !inline || len(clients.Anchors) == 0 {
		return errors.New("A13: clients are to be verified, but there is no CA: Envoy would ask for no certificate")
	}
	if clients.AnchorsDigest != "" && clients.AnchorsDigest != known.digest(clients.Anchors) {
		return errors.New("A13: what was decided about clients was decided for another CA")
	}
	count, err := known.count(pemCertificate, text.InlineString)
	if err != nil {
		return fmt.Errorf("A13: the CA for clients is not usable: %w", err)
	}
	if count != len(clients.Anchors) {
		return fmt.Errorf("A13: %d CA certificates for clients where the server has %d", count, len(clients.Anchors))
	}
	return nil
}
