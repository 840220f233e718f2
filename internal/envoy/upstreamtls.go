package envoy

import (
	"crypto/tls"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// upstreamTLS is the transport socket of a backend with a trust.
//
// SNI and names are static: Envoy's auto_sni and auto_san options would take
// them from the request, which the client writes.
func (t *translation) upstreamTLS(b *model.Backend) (*corev3.TransportSocket, error) {
	common := &tlsv3.CommonTlsContext{
		TlsParams:     upstreamParameters(b.Trust),
		AlpnProtocols: upstreamALPN(b),
	}
	if b.Trust.Mode != model.InsecureSkipVerification {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
			ValidationContext: t.validationContext(b.Trust),
		}
	}
	if b.Trust.Identity != nil {
		// Inline, so that whose certificate it is changes with the cluster, which
		// drains what was opened with another one; and the key goes nowhere else.
		certificate, err := tlsCertificate(*b.Trust.Identity)
		if err != nil {
			return nil, fmt.Errorf("client certificate of %s: %w", b.Trust.Identity.Secret, err)
		}
		common.TlsCertificates = []*tlsv3.TlsCertificate{certificate}
	}
	// Without a validation context Envoy verifies nothing; assert.go makes
	// sure that this happens in that one mode only.
	return transportSocket(&tlsv3.UpstreamTlsContext{Sni: b.Trust.SNI, CommonTlsContext: common})
}

// tlsParameters are TLS 1.2 to 1.3. Envoy's default for upstreams ends at 1.2.
func tlsParameters() *tlsv3.TlsParameters {
	return &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
		TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
	}
}

// upstreamParameters are the versions of a trust, never below 1.2, and what it
// offers where that is not left to Envoy.
func upstreamParameters(trust *model.Trust) *tlsv3.TlsParameters {
	parameters := tlsParameters()
	if trust.MinTLSVersion > tls.VersionTLS12 {
		parameters.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
	}
	if trust.MaxTLSVersion == tls.VersionTLS12 {
		parameters.TlsMaximumProtocolVersion = tlsv3.TlsParameters_TLSv1_2
	}
	parameters.CipherSuites = trust.Suites
	parameters.EcdhCurves = trust.Curves
	parameters.SignatureAlgorithms = trust.SignatureAlgorithms
	return parameters
}

// upstreamALPN is what the trust offers. HTTP/2 is always offered where it will
// be spoken: a server that was not asked for it speaks HTTP/1.1.
func upstreamALPN(b *model.Backend) []string {
	if len(b.Trust.ALPN) == 0 && b.Protocol == model.HTTP2 {
		return []string{string(model.HTTP2)}
	}
	return b.Trust.ALPN
}

// validationContext is every check of a trust; Envoy takes a certificate that
// passes all of them: the chain to a trusted CA (any of them, partial chains
// included), one of the names, one of the leaves, which may be in either of
// its two lists.
//
// The CA is inline although the system roots are 175 KB. A refused cluster is
// named by Envoy and withdrawn, and its routes answer 500. Were the CA a secret
// of its own, a refusal would name no cluster, and each one that waits for it
// would withhold the acknowledgement of all others for fetchTimeout, and then
// answer 503.
func (t *translation) validationContext(trust *model.Trust) *tlsv3.CertificateValidationContext {
	v := &tlsv3.CertificateValidationContext{
		TrustChainVerification:  tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN,
		AllowExpiredCertificate: trust.IgnoreTime,
	}
	if len(trust.Anchors) > 0 {
		v.TrustedCa = &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: t.bundles.pem(pemCertificate, trust.Anchors)},
		}
	}
	if len(trust.CRLs) > 0 {
		v.Crl = &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: t.bundles.pem(pemCRL, trust.CRLs)},
		}
		// Without this every certificate of the path needs a list of its issuer.
		v.OnlyVerifyLeafCertCrl = !trust.RevokeChain
	}
	for _, name := range trust.Names {
		v.MatchTypedSubjectAltNames = append(v.MatchTypedSubjectAltNames, nameMatcher(name))
	}
	for _, leaf := range trust.Leaves {
		if leaf.Kind == pin.SPKI {
			v.VerifyCertificateSpki = append(v.VerifyCertificateSpki, envoyForm(leaf))
		} else {
			v.VerifyCertificateHash = append(v.VerifyCertificateHash, envoyForm(leaf))
		}
	}
	return v
}

// nameMatcher looks for a name in the leaf. Envoy compares an exact DNS name
// as RFC 6125 says, wildcards of the certificate included.
func nameMatcher(name model.Name) *tlsv3.SubjectAltNameMatcher {
	return &tlsv3.SubjectAltNameMatcher{
		SanType: sanType(name.Kind),
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name.Value}},
	}
}

// sanType is unspecified for kinds that no policy can ask for, which
// protoc-gen-validate refuses.
func sanType(kind model.NameKind) tlsv3.SubjectAltNameMatcher_SanType {
	switch kind {
	case model.DNS:
		return tlsv3.SubjectAltNameMatcher_DNS
	case model.URI:
		return tlsv3.SubjectAltNameMatcher_URI
	default:
		return tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED
	}
}

// envoyForm is a pin as Envoy reads it; "" for a kind it has no list for.
func envoyForm(p pin.Pin) string {
	switch p.Kind {
	case pin.SPKI:
		return p.Base64()
	case pin.Certificate:
		return p.Hex()
	default:
		return ""
	}
}
