package envoy

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/model"
)

// assertCluster refuses a cluster whose finished message would check less than
// its backend's trust says, or that Envoy would refuse. Envoy's own field rules
// are no such check: they accept a context that verifies nothing. The rules
// are those of Envoy 1.40's default_validator.cc and context_config_impl.cc.
// Their labels, for messages:
//
//	A0   the cluster and its assignment carry the backend's name
//	A1   something is verified, unless the mode is InsecureSkipVerification
//	A2   a failed verification is never accepted
//	A3   names, dates and revocation are checked against a CA, or not at all
//	A4   nothing is taken from the request
//	A5   no field that Envoy ignores, or that was not thought about
//	A6   pins are 32 bytes, in the form Envoy reads
//	A7   the server name is a DNS name
//	A9   a trust means TLS, on every endpoint
//	A10  the TLS versions are set, ALPN is what will be spoken
//	A11  the client certificate is the one that the trust says, or none
//	A12  requests end at the limit of the backend
//	A14  copies of requests hold few connections
//
// (A8, that every secret named is delivered, concerns listeners: assertdownstream.go.)
func assertCluster(c *clusterv3.Cluster, b *model.Backend, name string, known *bundles) error {
	if c.GetName() != name || c.GetEdsClusterConfig().GetServiceName() != c.GetName() {
		return errors.New("A0: cluster and assignment must both be named after the backend, which names its trust")
	}
	// A9: nothing but the cluster's own socket, and no socket means plaintext.
	if len(c.GetTransportSocketMatches()) > 0 || c.GetTransportSocketMatcher() != nil {
		return errors.New("A9: an endpoint could choose another transport socket")
	}
	if err := assertMirror(c, b); err != nil {
		return err
	}
	if b.Trust == nil {
		if c.GetTransportSocket() != nil {
			return errors.New("A9: a backend without a trust has a transport socket")
		}
		return assertOptions(c, b)
	}
	if err := assertTrust(b.Trust); err != nil {
		return err
	}
	context, err := upstreamContext(c.GetTransportSocket())
	if err != nil {
		return err
	}
	for _, rule := range []func() error{
		func() error { return assertNothingAutomatic(context) },
		func() error { return assertOptions(c, b) },
		func() error { return assertSNI(context.GetSni()) },
		func() error { return assertProtocols(context.GetCommonTlsContext(), b) },
		func() error { return assertIdentity(context.GetCommonTlsContext(), b.Trust) },
		func() error { return assertValidation(context.GetCommonTlsContext(), b.Trust, known) },
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

// upstreamContext is the TLS context in a transport socket (A9).
func upstreamContext(socket *corev3.TransportSocket) (*tlsv3.UpstreamTlsContext, error) {
	if socket.GetName() != tlsSocket || socket.GetTypedConfig() == nil {
		return nil, errors.New("A9: a backend with a trust has no TLS transport socket: it would be plaintext")
	}
	context := &tlsv3.UpstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil {
		return nil, fmt.Errorf("A9: the transport socket holds no upstream TLS context: %w", err)
	}
	return context, nil
}

// assertTrust (A1) refuses a trust that checks less than its mode says: the mode
// names the one check that is left out. Checking more is fine.
func assertTrust(t *model.Trust) error {
	chain, name := len(t.Anchors) > 0, len(t.Names) > 0
	mode := modeOf(t)
	if mode == model.InsecureSkipVerification {
		if t.Verifies() || name || t.IgnoreTime || len(t.CRLs) > 0 {
			return errors.New("A1: InsecureSkipVerification has something to verify")
		}
		return nil
	}
	if !t.Verifies() {
		return fmt.Errorf("A1: the mode is %s, yet without CA and pins any certificate would be accepted", mode)
	}
	if t.IgnoreTime && mode != model.InsecureAllowExpired {
		return fmt.Errorf("A1: the mode is %s, yet dates are not checked", mode)
	}
	if chain && !name && mode != model.InsecureSkipOnlySANVerification {
		return fmt.Errorf("A1: the mode is %s, yet any name of the CA would be accepted", mode)
	}
	switch mode {
	case model.Standard:
		return nil
	case model.InsecureAllowExpired, model.InsecureSkipOnlySANVerification:
		if !chain {
			return fmt.Errorf("A1: the mode is %s, yet there is no chain to check", mode)
		}
		return nil
	default:
		return fmt.Errorf("A1: the mode %q is none of %v", mode, model.Modes)
	}
}

// assertOptions: the protocol is explicit and nothing is taken from the request
// (A4), and requests end when the backend says (A12). Where bytes are passed on
// there is no request, and the listener has the limit.
func assertOptions(c *clusterv3.Cluster, b *model.Backend) error {
	packed := c.GetTypedExtensionProtocolOptions()
	if b.Protocol == model.TCP {
		if len(packed) > 0 {
			return errors.New("A12: a stream of bytes has options of HTTP")
		}
		return nil
	}
	for name := range packed {
		if name != httpOptions {
			return fmt.Errorf("A4: the protocol options %q are not HTTP options", name)
		}
	}
	if packed[httpOptions] == nil {
		return errors.New("A12: requests have no options of HTTP, so they never end")
	}
	options := &httpv3.HttpProtocolOptions{}
	if err := packed[httpOptions].UnmarshalTo(options); err != nil {
		return fmt.Errorf("A4: the protocol options are not HTTP options: %w", err)
	}
	switch {
	case options.GetUpstreamHttpProtocolOptions() != nil:
		return errors.New("A4: the server name or the name to verify is taken from the request")
	case options.GetExplicitHttpConfig() == nil:
		return errors.New("A4: the protocol is not explicit")
	case options.GetCommonHttpProtocolOptions().GetMaxStreamDuration().AsDuration() != sessionLimit(b):
		return errors.New("A12: requests end at another limit than the backend's")
	}
	return nil
}

// assertNothingAutomatic refuses names that Envoy would choose (A4), and every field
// that could weaken or reveal a connection (A5).
func assertNothingAutomatic(context *tlsv3.UpstreamTlsContext) error {
	if context.GetAutoHostSni() || context.GetAutoSniSanValidation() {
		return errors.New("A4: the server name or the name to verify is automatic")
	}
	// Renegotiation, key logs, handshakers, SDS: whatever else there is, or will
	// be in a later Envoy.
	common := context.GetCommonTlsContext()
	expected := &tlsv3.UpstreamTlsContext{Sni: context.GetSni(), CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams:             common.GetTlsParams(),
		AlpnProtocols:         common.GetAlpnProtocols(),
		TlsCertificates:       common.GetTlsCertificates(),
		ValidationContextType: common.GetValidationContextType(),
	}}
	if !proto.Equal(expected, context) {
		return errors.New("A5: the TLS context has a field that is not SNI, versions, ALPN, certificate or validation")
	}
	return nil
}

// assertIdentity (A11): Envoy presents what the trust says and nothing else. It
// takes one certificate towards backends.
func assertIdentity(common *tlsv3.CommonTlsContext, t *model.Trust) error {
	presented := common.GetTlsCertificates()
	if t.Identity == nil {
		if len(presented) > 0 {
			return errors.New("A11: there is a client certificate that the trust does not have")
		}
		return nil
	}
	if len(presented) != 1 {
		return fmt.Errorf("A11: %d client certificates where the trust has one", len(presented))
	}
	expected, err := tlsCertificate(*t.Identity)
	if err != nil {
		return fmt.Errorf("A11: %w", err)
	}
	if !proto.Equal(expected, presented[0]) {
		return errors.New("A11: the client certificate is not that of the trust")
	}
	return nil
}

// assertSNI (A7): RFC 6066 section 3 allows DNS names only. Envoy would send
// anything.
func assertSNI(sni string) error {
	if !preciseHostname(sni) {
		return fmt.Errorf("A7: the server name %q is not a DNS name without wildcard", sni)
	}
	return nil
}

// assertValidation holds the validation context against the trust: present
// unless the mode skips everything, and exactly as demanding.
func assertValidation(common *tlsv3.CommonTlsContext, t *model.Trust, known *bundles) error {
	if modeOf(t) == model.InsecureSkipVerification {
		if common.GetValidationContextType() != nil {
			return errors.New("A1: InsecureSkipVerification has a validation context")
		}
		return nil
	}
	v := common.GetValidationContext()
	if v == nil {
		return fmt.Errorf("A1: the mode is %s, yet there is no inline validation context", modeOf(t))
	}
	if err := assertOnlyKnownChecks(v); err != nil {
		return err
	}
	if err := assertAnchors(v, t, known); err != nil {
		return err
	}
	if err := assertNames(v, t); err != nil {
		return err
	}
	if err := assertCRLs(v, t, known); err != nil {
		return err
	}
	return assertLeaves(v, t)
}

// assertOnlyKnownChecks refuses every field that accepts more (A2), that Envoy
// does not implement and takes for no CA at all (A5), or that replaces the
// validator. It starts from an empty message, so that a field of a later
// Envoy is refused until somebody has thought about it.
func assertOnlyKnownChecks(v *tlsv3.CertificateValidationContext) error {
	if v.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN {
		return errors.New("A2: certificates would be accepted although their verification failed")
	}
	expected := &tlsv3.CertificateValidationContext{
		TrustedCa:                 v.GetTrustedCa(),
		MatchTypedSubjectAltNames: v.GetMatchTypedSubjectAltNames(),
		VerifyCertificateSpki:     v.GetVerifyCertificateSpki(),
		VerifyCertificateHash:     v.GetVerifyCertificateHash(),
		AllowExpiredCertificate:   v.GetAllowExpiredCertificate(),
		Crl:                       v.GetCrl(),
		OnlyVerifyLeafCertCrl:     v.GetOnlyVerifyLeafCertCrl(),
	}
	if !proto.Equal(expected, v) {
		return errors.New("A5: the validation context has a field that is not inline CA, name, pin, CRL or date check")
	}
	return nil
}

// assertAnchors (A1, A3): every anchor of the trust is there, as a certificate
// that parses, and nothing that Envoy ignores or refuses without one.
func assertAnchors(v *tlsv3.CertificateValidationContext, t *model.Trust, known *bundles) error {
	if v.GetAllowExpiredCertificate() != t.IgnoreTime {
		return errors.New("A3: dates are checked otherwise than the trust says")
	}
	if len(t.Anchors) == 0 {
		if v.GetTrustedCa() != nil {
			return errors.New("A1: there is a CA that the trust does not have")
		}
		if len(v.GetMatchTypedSubjectAltNames()) > 0 || v.GetAllowExpiredCertificate() {
			return errors.New("A3: a name or the dates without a CA, which Envoy refuses")
		}
		return nil
	}
	if t.AnchorsDigest != "" && t.AnchorsDigest != known.digest(t.Anchors) {
		return errors.New("A0: the cluster's name covers another CA than the trust has")
	}
	text, inline := v.GetTrustedCa().GetSpecifier().(*corev3.DataSource_InlineString)
	if !inline {
		return errors.New("A1: the CA is not inline")
	}
	count, err := known.count(pemCertificate, text.InlineString)
	if err != nil {
		return fmt.Errorf("A1: the CA is not usable: %w", err)
	}
	if count != len(t.Anchors) {
		return fmt.Errorf("A1: %d CA certificates where the trust has %d", count, len(t.Anchors))
	}
	return nil
}

// assertCRLs (A3): every revocation list of the trust is there, and asked about
// as many certificates as the trust says.
func assertCRLs(v *tlsv3.CertificateValidationContext, t *model.Trust, known *bundles) error {
	if len(t.CRLs) == 0 {
		if v.GetCrl() != nil || v.GetOnlyVerifyLeafCertCrl() {
			return errors.New("A3: there is a CRL that the trust does not have")
		}
		return nil
	}
	if len(t.Anchors) == 0 {
		return errors.New("A3: a CRL without a CA, which Envoy refuses")
	}
	if t.CRLsDigest != "" && t.CRLsDigest != known.digest(t.CRLs) {
		return errors.New("A0: the cluster's name covers other CRLs than the trust has")
	}
	if v.GetOnlyVerifyLeafCertCrl() == t.RevokeChain {
		return errors.New("A3: revocation is checked of other certificates than the trust says")
	}
	text, inline := v.GetCrl().GetSpecifier().(*corev3.DataSource_InlineString)
	if !inline {
		return errors.New("A3: the CRL is not inline")
	}
	count, err := known.count(pemCRL, text.InlineString)
	if err != nil {
		return fmt.Errorf("A3: the CRL is not usable: %w", err)
	}
	if count != len(t.CRLs) {
		return fmt.Errorf("A3: %d CRLs where the trust has %d", count, len(t.CRLs))
	}
	return nil
}

// assertNames: the names of the trust, each by its own kind.
func assertNames(v *tlsv3.CertificateValidationContext, t *model.Trust) error {
	matchers := v.GetMatchTypedSubjectAltNames()
	if len(matchers) != len(t.Names) {
		return fmt.Errorf("A3: %d names where the trust has %d", len(matchers), len(t.Names))
	}
	for i, name := range t.Names {
		kind := sanType(name.Kind)
		if matchers[i].GetSanType() != kind || kind == tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED {
			return fmt.Errorf("A3: name %q is compared as another kind than %q", name.Value, name.Kind)
		}
		if name.Value == "" || !proto.Equal(nameMatcher(name), matchers[i]) {
			return fmt.Errorf("A3: name %q is empty or not compared exactly", name.Value)
		}
	}
	return nil
}

// assertLeaves (A6): the pins of the trust, in the only forms that Envoy reads.
func assertLeaves(v *tlsv3.CertificateValidationContext, t *model.Trust) error {
	written := make([]string, 0, len(t.Leaves))
	for _, spki := range v.GetVerifyCertificateSpki() {
		sum, err := base64.StdEncoding.DecodeString(spki)
		if err != nil || len(sum) != 32 {
			return fmt.Errorf("A6: the public key pin %q is not 32 bytes in base64", spki)
		}
		written = append(written, spki)
	}
	for _, hash := range v.GetVerifyCertificateHash() {
		sum, err := hex.DecodeString(hash)
		if err != nil || len(sum) != 32 {
			return fmt.Errorf("A6: the certificate pin %q is not 32 bytes in hex", hash)
		}
		written = append(written, hash)
	}
	asked := make([]string, 0, len(t.Leaves))
	for _, leaf := range t.Leaves {
		asked = append(asked, envoyForm(leaf))
	}
	slices.Sort(written)
	slices.Sort(asked)
	if !slices.Equal(written, asked) {
		return errors.New("A6: the pins are not those of the trust")
	}
	return nil
}
