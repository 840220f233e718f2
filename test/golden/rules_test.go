package golden_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// judgeResources holds what would be sent against the rules for TLS contexts,
// which docs/architecture.md lists as A1 to A14.
func judgeResources(t *testing.T, snap *snapshot.Snapshot, gateway model.Gateway, resources envoy.Resources) {
	t.Helper()
	backends := map[string]model.Backend{}
	for _, backend := range gateway.Backends {
		backends[backend.Name()] = backend
	}
	for name, cluster := range resources.Clusters {
		if fault := clusterFault(snap, backends[name], cluster.Cluster); fault != "" {
			t.Errorf("%s: cluster %s: %s\n%s", gateway.Key, name, fault, prototext.Format(cluster.Cluster))
		}
	}
	for name, listener := range resources.Listeners {
		for _, chain := range listener.GetFilterChains() {
			if fault := downstreamFault(chain.GetTransportSocket(), resources.Secrets); fault != "" {
				t.Errorf("%s: listener %s: %s", gateway.Key, name, fault)
			}
			if fault := sessionFault(chain, gateway, backends); fault != "" {
				t.Errorf("%s: listener %s: %s", gateway.Key, name, fault)
			}
		}
	}
}

func clusterFault(snap *snapshot.Snapshot, b model.Backend, c *clusterv3.Cluster) string {
	switch {
	case c.GetName() != b.Name() || c.GetEdsClusterConfig().GetServiceName() != c.GetName():
		return "A0: neither it nor its assignment is named after its trust"
	case len(c.GetTransportSocketMatches()) > 0:
		return "A9: an endpoint may choose another transport socket"
	case b.Trust == nil && c.GetTransportSocket() != nil:
		return "A9: a transport socket without a trust"
	case b.Mirror && !holdsLittle(c):
		return "A14: copies may hold many connections, or for long"
	case b.Trust == nil:
		return plaintextFault(snap, b)
	}
	context := &tlsv3.UpstreamTlsContext{}
	if err := c.GetTransportSocket().GetTypedConfig().UnmarshalTo(context); err != nil {
		return "A9: a trust without TLS"
	}
	for _, packed := range c.GetTypedExtensionProtocolOptions() {
		options := &httpv3.HttpProtocolOptions{}
		if err := packed.UnmarshalTo(options); err != nil || options.GetUpstreamHttpProtocolOptions() != nil {
			return "A4: names from the request"
		}
		limit := options.GetCommonHttpProtocolOptions().GetMaxStreamDuration().AsDuration()
		if b.SessionLimit >= 0 && limit == 0 || b.Trust.Mode.Insecure() && (limit == 0 || limit > time.Hour) {
			return fmt.Sprintf("A12: requests end after %s", limit)
		}
	}
	return contextFault(b, context)
}

// holdsLittle says whether what is sent to the cluster is little and ends soon.
func holdsLittle(c *clusterv3.Cluster) bool {
	for _, packed := range c.GetTypedExtensionProtocolOptions() {
		options := &httpv3.HttpProtocolOptions{}
		if err := packed.UnmarshalTo(options); err != nil {
			return false
		}
		limit := options.GetCommonHttpProtocolOptions().GetMaxStreamDuration().AsDuration()
		if limit <= 0 || limit > time.Minute {
			return false
		}
	}
	for _, threshold := range c.GetCircuitBreakers().GetThresholds() {
		for _, most := range []*wrapperspb.UInt32Value{
			threshold.GetMaxConnections(), threshold.GetMaxRequests(), threshold.GetMaxPendingRequests(),
		} {
			if most == nil || most.GetValue() > 256 {
				return false
			}
		}
	}
	return len(c.GetTypedExtensionProtocolOptions()) == 1 && len(c.GetCircuitBreakers().GetThresholds()) == 1
}

// sessionFault: a session of a TLS listener ends if any backend of it has a trust
// (A12).
func sessionFault(chain *listenerv3.FilterChain, gateway model.Gateway, backends map[string]model.Backend) string {
	proxy := &tcpv3.TcpProxy{}
	if len(chain.GetFilters()) == 0 || chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(proxy) != nil {
		return ""
	}
	names := []string{proxy.GetCluster()}
	for _, share := range proxy.GetWeightedClusters().GetClusters() {
		names = append(names, share.GetName())
	}
	limit := proxy.GetMaxDownstreamConnectionDuration().AsDuration()
	for _, name := range names {
		trust := backends[name].Trust
		switch {
		case trust == nil:
		case gateway.SessionLimit >= 0 && limit == 0, trust.Mode.Insecure() && (limit == 0 || limit > time.Hour):
			return fmt.Sprintf("A12: sessions with %s end after %s", name, limit)
		}
	}
	return ""
}

// plaintextFault: a port that says https is never spoken to in plaintext, unless
// the bytes are the client's own TLS.
func plaintextFault(snap *snapshot.Snapshot, b model.Backend) string {
	service, found := snap.Services.Get(b.Service.NamespacedName())
	if !found || b.Protocol == model.TCP {
		return ""
	}
	for _, port := range service.Spec.Ports {
		if port.Port != b.Port || port.AppProtocol == nil {
			continue
		}
		switch strings.ToLower(*port.AppProtocol) {
		case "https", "kubernetes.io/wss":
			return "a port of https in plaintext"
		}
	}
	return ""
}

func contextFault(b model.Backend, context *tlsv3.UpstreamTlsContext) string {
	common := context.GetCommonTlsContext()
	v := common.GetValidationContext()
	skip := b.Trust.Mode == model.InsecureSkipVerification
	sni := context.GetSni()
	_, address := netip.ParseAddr(sni)
	switch {
	case context.GetAutoHostSni() || context.GetAutoSniSanValidation() || context.GetAllowRenegotiation():
		return "A4: something automatic"
	case sni == "" || len(sni) > 253 || address == nil || strings.ContainsAny(sni, "*\x00 /:"):
		return "A7: the server name is none"
	case common.GetTlsParams().GetTlsMaximumProtocolVersion() < tlsv3.TlsParameters_TLSv1_2,
		common.GetTlsParams().GetTlsMinimumProtocolVersion() < tlsv3.TlsParameters_TLSv1_2:
		return "A10: the versions are not set"
	case skip && common.GetValidationContextType() != nil, !skip && v == nil:
		return "A1: the mode and what is verified do not go together"
	case skip && b.Trust.Policy.IsZero():
		return "A1: nobody's mode"
	case len(common.GetTlsCertificates()) > 1 || len(common.GetTlsCertificateSdsSecretConfigs()) > 0:
		return "A11: the client certificate is not one inline"
	case skip:
		return ""
	}
	return validationFault(b, v)
}

func validationFault(b model.Backend, v *tlsv3.CertificateValidationContext) string {
	ca := strings.Count(v.GetTrustedCa().GetInlineString(), "-----BEGIN CERTIFICATE-----")
	pins := len(v.GetVerifyCertificateSpki()) + len(v.GetVerifyCertificateHash())
	names := len(v.GetMatchTypedSubjectAltNames())
	switch {
	case ca+pins == 0:
		return "A1: nothing is verified"
	case v.GetTrustedCa() != nil && !onlyCertificates(v.GetTrustedCa().GetInlineString()):
		return "A1: the CA does not parse"
	case v.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN:
		return "A2: failures are accepted"
	case ca == 0 && (names > 0 || v.GetAllowExpiredCertificate() || v.GetCrl() != nil):
		return "A3: names, dates or lists without a CA"
	case ca > 0 && names == 0 && b.Trust.Mode != model.InsecureSkipOnlySANVerification:
		return "A1: any name of the CA's"
	case v.GetAllowExpiredCertificate() && b.Trust.Mode != model.InsecureAllowExpired:
		return "A1: no dates although the mode is another"
	case v.GetSystemRootCerts() != nil || v.GetCaCertificateProviderInstance() != nil || v.GetCustomValidatorConfig() != nil:
		return "A5: a CA that Envoy does not read"
	}
	for _, pin := range v.GetVerifyCertificateSpki() {
		if sum, err := base64.StdEncoding.DecodeString(pin); err != nil || len(sum) != 32 {
			return "A6: a pin that is none"
		}
	}
	for _, pin := range v.GetVerifyCertificateHash() {
		if sum, err := hex.DecodeString(pin); err != nil || len(sum) != 32 {
			return "A6: a pin that is none"
		}
	}
	return ""
}

// onlyCertificates says whether a text is PEM certificates and nothing else.
func onlyCertificates(text string) bool {
	rest := []byte(text)
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return false
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return false
		}
	}
	return text != ""
}

// downstreamFault: whoever asks clients for a certificate has a CA to verify it
// with, and every secret that is named is sent (A8).
func downstreamFault(socket *corev3.TransportSocket, secrets map[string]*tlsv3.Secret) string {
	if socket == nil {
		return ""
	}
	context := &tlsv3.DownstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil {
		return "no TLS context"
	}
	common := context.GetCommonTlsContext()
	for _, named := range common.GetTlsCertificateSdsSecretConfigs() {
		if secrets[named.GetName()] == nil {
			return "A8: the secret " + named.GetName() + " is not sent"
		}
	}
	if named := common.GetValidationContextSdsSecretConfig().GetName(); named != "" && secrets[named] == nil {
		return "A8: the secret " + named + " is not sent"
	}
	v := common.GetValidationContext()
	if named := common.GetValidationContextSdsSecretConfig().GetName(); named != "" {
		v = secrets[named].GetValidationContext()
	}
	required := context.GetRequireClientCertificate().GetValue()
	if required && v.GetTrustedCa() == nil {
		return "A11: certificates are required that nobody can verify"
	}
	if required && v.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN {
		return "certificates are required and not verified"
	}
	return ""
}

// encoded is all that would be sent, as bytes.
func encoded(t *testing.T, resources envoy.Resources) string {
	t.Helper()
	messages := map[string]proto.Message{}
	for name, cluster := range resources.Clusters {
		messages["cluster "+name+cluster.Held.Lapses.String()] = cluster.Cluster
	}
	for name, listener := range resources.Listeners {
		messages["listener "+name] = listener
	}
	for name, route := range resources.Routes {
		messages["route "+name] = route
	}
	for name, secret := range resources.Secrets {
		messages["secret "+name] = secret
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(messages[name])
		if err != nil {
			t.Errorf("%s cannot be encoded: %v", name, err)
		}
		fmt.Fprintf(&text, "%s %d %s\n", name, len(bytes), bytes)
	}
	return text.String()
}
