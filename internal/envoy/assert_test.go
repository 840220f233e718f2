package envoy

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/pki"
)

// subject is a sound cluster, to be broken on purpose.
type subject struct {
	backend model.Backend
	cluster *clusterv3.Cluster
	context *tlsv3.UpstreamTlsContext
	// kept is set by a change that replaced the transport socket itself.
	kept bool
}

func (s *subject) common() *tlsv3.CommonTlsContext { return s.context.GetCommonTlsContext() }

func (s *subject) options() map[string]*anypb.Any {
	return s.cluster.GetTypedExtensionProtocolOptions()
}

// socket replaces the transport socket by one that is left as it is.
func (s *subject) socket(socket *corev3.TransportSocket) {
	s.cluster.TransportSocket, s.kept = socket, true
}

// validation is the validation context.
func (s *subject) validation() *tlsv3.CertificateValidationContext {
	return s.context.GetCommonTlsContext().GetValidationContext()
}

func soundBackend(t *testing.T) model.Backend {
	t.Helper()
	content, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	return model.Backend{
		Service: gwapi.KeyOf(gwapi.KindService, "default", "api"), Port: 443, Protocol: model.HTTP2,
		Trust: &model.Trust{
			Policy: gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api"), Mode: model.Standard,
			SNI: "api.example.com", Anchors: [][]byte{block.Bytes},
			Names: []model.Name{
				{Kind: model.DNS, Value: "api.example.com"}, {Kind: model.URI, Value: "spiffe://example.com/api"},
			},
			Leaves: []pin.Pin{
				{Kind: pin.SPKI, Sum: sha256.Sum256([]byte("a"))},
				{Kind: pin.Certificate, Sum: sha256.Sum256([]byte("b"))},
			},
		},
	}
}

// verdict changes a sound cluster and asserts it.
func verdict(t *testing.T, trust func(*model.Trust), change func(*subject)) error {
	t.Helper()
	s := &subject{backend: soundBackend(t)}
	if trust != nil {
		trust(s.backend.Trust)
	}
	translation := &translation{bundles: &bundles{}}
	name := s.backend.Name()
	var err error
	if s.cluster, err = translation.newCluster(&s.backend, name); err != nil {
		t.Fatal(err)
	}
	if s.context, err = upstreamContext(s.cluster.GetTransportSocket()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
		if !s.kept {
			s.cluster.TransportSocket = repacked(t, s.context)
		}
	}
	return assertCluster(s.cluster, &s.backend, name, translation.bundles)
}

// repacked is a transport socket without any check of its content.
func repacked(t *testing.T, context *tlsv3.UpstreamTlsContext) *corev3.TransportSocket {
	t.Helper()
	packed, err := anypb.New(context)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.TransportSocket{
		Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed},
	}
}

// keyPair is the fixture's.
func keyPair(t *testing.T) *model.KeyPair {
	t.Helper()
	pair := &model.KeyPair{Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "client")}
	for name, to := range map[string]*[]byte{"server.pem": &pair.Chain, "server.key": &pair.Key} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		*to = content
	}
	return pair
}

// revocationList is the DER of one that is on nobody's side.
func revocationList(t *testing.T) []byte {
	t.Helper()
	identity, err := pki.SelfSigned(pki.Request{Name: "CA", CA: true, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := identity.CRL(pki.Revocation{ThisUpdate: time.Unix(0, 0), NextUpdate: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

func TestASoundClusterPasses(t *testing.T) {
	for name, trust := range map[string]func(*model.Trust){
		"CA, names and pins":             nil,
		"the zero mode":                  func(t *model.Trust) { t.Mode = "" },
		"pins alone":                     func(t *model.Trust) { t.Anchors, t.Names = nil, nil },
		"allow expired":                  func(t *model.Trust) { t.Mode, t.IgnoreTime = model.InsecureAllowExpired, true },
		"skip the name alone":            func(t *model.Trust) { t.Mode, t.Names = model.InsecureSkipOnlySANVerification, nil },
		"revocation lists":               func(trust *model.Trust) { trust.CRLs = [][]byte{revocationList(t)} },
		"revocation lists for the chain": func(trust *model.Trust) { trust.CRLs, trust.RevokeChain = [][]byte{revocationList(t)}, true },
		"a client certificate":           func(trust *model.Trust) { trust.Identity = keyPair(t) },
		"skip everything": func(t *model.Trust) {
			t.Mode, t.Anchors, t.Names, t.Leaves = model.InsecureSkipVerification, nil, nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verdict(t, trust, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each row breaks one thing in a message that is sound otherwise.
func TestAMessageThatChecksLessIsRefused(t *testing.T) {
	inline := func(text string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
	}
	for name, test := range map[string]struct {
		label  string
		change func(*subject)
	}{
		"another name than the backend's": {"A0", func(s *subject) { s.cluster.Name = "default/api/443/other" }},
		"a shared assignment": {"A0", func(s *subject) {
			s.cluster.EdsClusterConfig.ServiceName = "default/api/443"
		}},
		"no validation context": {"A1", func(s *subject) { s.common().ValidationContextType = nil }},
		"a validation context over SDS": {"A1", func(s *subject) {
			s.common().ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ca"},
			}
		}},
		"a combined validation context": {"A1", func(s *subject) {
			s.common().ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext: s.validation(),
				},
			}
		}},
		"no CA":        {"A1", func(s *subject) { s.validation().TrustedCa = nil }},
		"an empty CA":  {"A1", func(s *subject) { s.validation().TrustedCa = inline("") }},
		"a garbage CA": {"A1", func(s *subject) { s.validation().TrustedCa = inline("garbage") }},
		"a CA of something else in PEM": {"A1", func(s *subject) {
			s.validation().TrustedCa = inline("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
		}},
		"a CA that does not parse": {"A1", func(s *subject) {
			s.validation().TrustedCa = inline("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}},
		"one CA more": {"A1", func(s *subject) {
			text := s.validation().GetTrustedCa().GetInlineString()
			s.validation().TrustedCa = inline(text + text)
		}},
		"a CA from a file": {"A1", func(s *subject) {
			s.validation().TrustedCa = &corev3.DataSource{
				Specifier: &corev3.DataSource_Filename{Filename: "/etc/ca.pem"},
			}
		}},
		"failed verifications accepted": {"A2", func(s *subject) {
			s.validation().TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}},
		"dates not checked": {"A3", func(s *subject) { s.validation().AllowExpiredCertificate = true }},
		"no names":          {"A3", func(s *subject) { s.validation().MatchTypedSubjectAltNames = nil }},
		"one name more": {"A3", func(s *subject) {
			v := s.validation()
			v.MatchTypedSubjectAltNames = append(v.MatchTypedSubjectAltNames, v.GetMatchTypedSubjectAltNames()[0])
		}},
		"a name by its prefix": {"A3", func(s *subject) {
			s.validation().MatchTypedSubjectAltNames[0].Matcher = &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "api.example.com"},
			}
		}},
		"a name in any case": {"A3", func(s *subject) {
			s.validation().MatchTypedSubjectAltNames[0].Matcher.IgnoreCase = true
		}},
		"a name of another kind": {"A3", func(s *subject) {
			s.validation().MatchTypedSubjectAltNames[0].SanType = tlsv3.SubjectAltNameMatcher_EMAIL
		}},
		"automatic SNI":            {"A4", func(s *subject) { s.context.AutoHostSni = true }},
		"automatic SAN":            {"A4", func(s *subject) { s.context.AutoSniSanValidation = true }},
		"renegotiation":            {"A5", func(s *subject) { s.context.AllowRenegotiation = true }},
		"a key log":                {"A5", func(s *subject) { s.common().KeyLog = &tlsv3.TlsKeyLog{Path: "/k"} }},
		"SNI from the request":     {"A4", func(s *subject) { s.options()[httpOptions] = fromRequest(t) }},
		"requests without an end":  {"A12", func(s *subject) { s.options()[httpOptions] = endless(t) }},
		"requests without options": {"A12", func(s *subject) { delete(s.options(), httpOptions) }},
		"options of another type":  {"A4", func(s *subject) { s.options()["x"] = &anypb.Any{} }},
		"the CA of the host": {"A5", func(s *subject) {
			s.validation().SystemRootCerts = &tlsv3.CertificateValidationContext_SystemRootCerts{}
		}},
		"a CA of a provider": {"A5", func(s *subject) {
			s.validation().CaCertificateProviderInstance = &tlsv3.CertificateProviderPluginInstance{InstanceName: "x"}
		}},
		"a validator of its own": {"A5", func(s *subject) {
			s.validation().CustomValidatorConfig = &corev3.TypedExtensionConfig{Name: "x"}
		}},
		"names in the deprecated list": {"A5", func(s *subject) {
			//nolint:staticcheck // the deprecated field is what must not be used
			s.validation().MatchSubjectAltNames = []*matcherv3.StringMatcher{exactly("x")}
		}},
		"a depth, which Envoy ignores": {"A5", func(s *subject) {
			s.validation().MaxVerifyDepth = wrapperspb.UInt32(1)
		}},
		"a revocation list that nobody asked for": {"A3", func(s *subject) { s.validation().Crl = inline("x") }},
		"the leaf alone to be asked about":        {"A3", func(s *subject) { s.validation().OnlyVerifyLeafCertCrl = true }},
		"no revocation list": {"A3", func(s *subject) {
			s.backend.Trust.CRLs = [][]byte{revocationList(t)}
			s.validation().OnlyVerifyLeafCertCrl = true
		}},
		"another revocation list's number": {"A3", func(s *subject) {
			list := revocationList(t)
			s.backend.Trust.CRLs = [][]byte{list, list}
			s.validation().Crl = inline((&bundles{}).pem(pemCRL, [][]byte{list}))
			s.validation().OnlyVerifyLeafCertCrl = true
		}},
		"a certificate for a revocation list": {"A3", func(s *subject) {
			s.backend.Trust.CRLs = [][]byte{revocationList(t)}
			s.validation().Crl = s.validation().GetTrustedCa()
			s.validation().OnlyVerifyLeafCertCrl = true
		}},
		"the leaf alone where the chain is to be asked about": {"A3", func(s *subject) {
			s.backend.Trust.CRLs, s.backend.Trust.RevokeChain = [][]byte{revocationList(t)}, true
			s.validation().Crl = inline((&bundles{}).pem(pemCRL, s.backend.Trust.CRLs))
			s.validation().OnlyVerifyLeafCertCrl = true
		}},
		"a revocation list without a CA": {"A3", func(s *subject) {
			s.backend.Trust.CRLs = [][]byte{revocationList(t)}
			s.backend.Trust.Anchors, s.backend.Trust.Names = nil, nil
			s.validation().TrustedCa, s.validation().MatchTypedSubjectAltNames = nil, nil
			s.validation().Crl = inline((&bundles{}).pem(pemCRL, s.backend.Trust.CRLs))
			s.validation().OnlyVerifyLeafCertCrl = true
		}},
		"no pins": {"A6", func(s *subject) {
			s.validation().VerifyCertificateSpki, s.validation().VerifyCertificateHash = nil, nil
		}},
		"a pin more": {"A6", func(s *subject) {
			s.validation().VerifyCertificateHash = append(s.validation().VerifyCertificateHash, strings.Repeat("0", 64))
		}},
		"a public key pin of 31 bytes": {"A6", func(s *subject) {
			s.validation().VerifyCertificateSpki = []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}
		}},
		"a certificate pin of 70 digits": {"A6", func(s *subject) {
			s.validation().VerifyCertificateHash = []string{strings.Repeat("0", 70)}
		}},
		"no server name":         {"A7", func(s *subject) { s.context.Sni = "" }},
		"an address as SNI":      {"A7", func(s *subject) { s.context.Sni = "10.0.0.1" }},
		"an IPv6 address as SNI": {"A7", func(s *subject) { s.context.Sni = "::1" }},
		"a wildcard as SNI":      {"A7", func(s *subject) { s.context.Sni = "*.example.com" }},
		"an SNI with a NUL":      {"A7", func(s *subject) { s.context.Sni = "api\x00.example.com" }},
		"an SNI of 254 bytes":    {"A7", func(s *subject) { s.context.Sni = strings.Repeat("a.", 126) + "aa" }},
		"plaintext":              {"A9", func(s *subject) { s.socket(nil) }},
		"another socket": {"A9", func(s *subject) {
			s.cluster.TransportSocket.Name, s.kept = "envoy.transport_sockets.raw_buffer", true
		}},
		"a socket without content": {"A9", func(s *subject) {
			s.socket(&corev3.TransportSocket{Name: tlsSocket})
		}},
		"a downstream context": {"A9", func(s *subject) {
			packed, err := anypb.New(&tlsv3.DownstreamTlsContext{})
			if err != nil {
				t.Fatal(err)
			}
			s.socket(&corev3.TransportSocket{
				Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed},
			})
		}},
		"a socket by endpoint": {"A9", func(s *subject) {
			s.cluster.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{{Name: "plain"}}
		}},
		"Envoy's highest version": {"A10", func(s *subject) {
			s.common().TlsParams.TlsMaximumProtocolVersion = tlsv3.TlsParameters_TLS_AUTO
		}},
		"TLS 1.2 at most": {"A10", func(s *subject) {
			s.common().TlsParams.TlsMaximumProtocolVersion = tlsv3.TlsParameters_TLSv1_2
		}},
		"TLS 1.2 under a floor of 1.3": {"A10", func(s *subject) {
			trust := *s.backend.Trust
			trust.MinTLSVersion = tls.VersionTLS13
			s.backend.Trust = &trust
		}},
		"TLS 1.1": {"A10", func(s *subject) {
			s.common().TlsParams.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_1
		}},
		"a suite more": {"A10", func(s *subject) {
			s.common().TlsParams.CipherSuites = []string{"ECDHE-RSA-AES128-GCM-SHA256"}
		}},
		"a curve more": {"A10", func(s *subject) { s.common().TlsParams.EcdhCurves = []string{"P-384"} }},
		"a signature algorithm that nobody knows": {"A10", func(s *subject) {
			s.backend.Trust.SignatureAlgorithms = []string{"rsa_pkcs1_md5"}
			s.common().TlsParams.SignatureAlgorithms = s.backend.Trust.SignatureAlgorithms
		}},
		"a policy for compliance": {"A10", func(s *subject) {
			s.common().TlsParams.CompliancePolicies = []tlsv3.TlsParameters_CompliancePolicy{
				tlsv3.TlsParameters_FIPS_202205,
			}
		}},
		"versions upside down": {"A10", func(s *subject) {
			s.backend.Trust.MaxTLSVersion = tls.VersionTLS12
			s.common().TlsParams.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
			s.common().TlsParams.TlsMaximumProtocolVersion = tlsv3.TlsParameters_TLSv1_2
		}},
		"a client certificate that nobody asked for": {"A11", func(s *subject) {
			s.common().TlsCertificates = []*tlsv3.TlsCertificate{{}}
		}},
		"no client certificate": {"A11", func(s *subject) { s.backend.Trust.Identity = keyPair(t) }},
		"another client certificate": {"A11", func(s *subject) {
			other := *keyPair(t)
			other.Chain = append(other.Chain, '\n')
			written, err := tlsCertificate(other)
			if err != nil {
				t.Fatal(err)
			}
			s.backend.Trust.Identity, s.common().TlsCertificates = keyPair(t), []*tlsv3.TlsCertificate{written}
		}},
		"a client certificate by SDS": {"A5", func(s *subject) {
			s.common().TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{{Name: "x"}}
		}},
		"no versions":     {"A10", func(s *subject) { s.common().TlsParams = nil }},
		"ALPN without h2": {"A10", func(s *subject) { s.common().AlpnProtocols = nil }},
		"ALPN of another kind": {"A10", func(s *subject) {
			s.common().AlpnProtocols = []string{"h2", "http/1.1"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := verdict(t, nil, test.change)
			if err == nil || !strings.HasPrefix(err.Error(), test.label+":") {
				t.Errorf("got %v, want %s", err, test.label)
			}
		})
	}
}

// fromRequest are protocol options that take the server name from the request.
func fromRequest(t *testing.T) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(&httpv3.HttpProtocolOptions{
		UpstreamHttpProtocolOptions: &corev3.UpstreamHttpProtocolOptions{AutoSni: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// endless are options without a limit of the request.
func endless(t *testing.T) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// A trust that says less than its mode is a fault of whoever built it.
func TestATrustThatChecksLessThanItsModeIsRefused(t *testing.T) {
	for name, trust := range map[string]func(*model.Trust){
		"nothing to verify":           func(t *model.Trust) { t.Anchors, t.Names, t.Leaves = nil, nil, nil },
		"standard without dates":      func(t *model.Trust) { t.IgnoreTime = true },
		"standard without names":      func(t *model.Trust) { t.Names = nil },
		"an unknown mode":             func(t *model.Trust) { t.Mode = "Lenient" },
		"allow expired without names": func(t *model.Trust) { t.Mode, t.Names = model.InsecureAllowExpired, nil },
		"allow expired without a CA": func(t *model.Trust) {
			t.Mode, t.Anchors = model.InsecureAllowExpired, nil
		},
		"skip the name without a CA": func(t *model.Trust) {
			t.Mode, t.Anchors = model.InsecureSkipOnlySANVerification, nil
		},
		"skip the name, and the dates too": func(t *model.Trust) {
			t.Mode, t.IgnoreTime = model.InsecureSkipOnlySANVerification, true
		},
		"skip everything but pins": func(t *model.Trust) {
			t.Mode, t.Anchors, t.Names = model.InsecureSkipVerification, nil, nil
		},
		"names without a CA": func(t *model.Trust) { t.Anchors = nil },
		"a name of no kind":  func(t *model.Trust) { t.Names[0].Kind = "IP" },
		"an empty name":      func(t *model.Trust) { t.Names[0].Value = "" },
		"a pin of no kind":   func(t *model.Trust) { t.Leaves[0].Kind = 9 },
		"an anchor that does not parse": func(t *model.Trust) {
			t.Anchors = [][]byte{[]byte("garbage")}
		},
		"a name that covers another CA": func(t *model.Trust) {
			t.AnchorsDigest = model.DigestAnchors([][]byte{[]byte("another")})
		},
		"ALPN that the protocol cannot speak": func(t *model.Trust) { t.ALPN = []string{"http/1.1"} },
	} {
		t.Run(name, func(t *testing.T) {
			backend := soundBackend(t)
			trust(backend.Trust)
			resources, faults := Translate(model.Gateway{Backends: []model.Backend{backend}})
			if len(resources.Clusters) != 0 || len(faults) != 1 || faults[0].Object != backend.Trust.Policy {
				t.Errorf("clusters %v, faults %v", resources.Clusters, faults)
			}
		})
	}
}

func TestAPanicIsTheFaultOfItsPartAlone(t *testing.T) {
	translation := &translation{}
	object := gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "web")
	if translation.try(object, "rule", func() error { panic("crafted") }) {
		t.Error("the part counts as written")
	}
	if !translation.try(object, "rule", func() error { return nil }) {
		t.Error("the next part does not count as written")
	}
	if len(translation.faults) != 1 {
		t.Fatalf("faults: %v", translation.faults)
	}
	fault := translation.faults[0]
	if fault.Object != object || fault.Message != "panic: crafted" || !strings.Contains(fault.Stack, "assert_test.go") {
		t.Errorf("fault: %+v", fault)
	}
	if err := guard(func() error { return errors.New("plain") }); err == nil || err.Error() != "plain" {
		t.Errorf("an error becomes %v", err)
	}
}

func TestTwoDifferentBackendsOfOneNameAreBothLeftOut(t *testing.T) {
	backend := soundBackend(t)
	translation := &translation{
		bundles: &bundles{}, names: map[string]bool{}, out: Resources{Clusters: map[string]Cluster{}},
	}
	translation.cluster(&backend)
	translation.cluster(&backend)
	if len(translation.out.Clusters) != 1 || len(translation.faults) != 0 {
		t.Errorf("the same twice: %v", translation.faults)
	}
	translation.out.Clusters[backend.Name()].Cluster.AltStatName = "other"
	translation.cluster(&backend)
	if len(translation.out.Clusters) != 0 || len(translation.faults) != 1 {
		t.Errorf("two different: %v", translation.faults)
	}
}
