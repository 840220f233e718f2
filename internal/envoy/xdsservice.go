package envoy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	injectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The names of the secrets of an XDSService, which its files hold.
const (
	trustSecret      = "xds-ca"
	credentialSecret = "xds-credential" //nolint:gosec // a name, no credential
)

// XDSService is the control plane in a cluster: reached by TLS 1.3, verified by
// a CA and a name, and told who asks by a token in the header "authorization",
// which is "Bearer " and the content of the token's file.
//
// CA and token are read from files through secrets of Envoy (SDS by path), so
// that both can be exchanged under a running Envoy: kubelet replaces the files
// of a volume by renaming a symbolic link in its directory, which Envoy watches.
type XDSService struct {
	// Host is a DNS name, Port is TCP.
	Host string
	Port uint32
	// ServerName is what the control plane's certificate must be for (a DNS name
	// among its subjectAltNames); it is sent as SNI too.
	ServerName string
	// TrustFile is the absolute path of a file with the content of XDSTrust.
	TrustFile string
	// CredentialFile is the absolute path of a file with the content of
	// XDSCredential.
	CredentialFile string
}

func (s *XDSService) check() error {
	switch {
	case s.Host == "" || s.ServerName == "":
		return errors.New("its Host and ServerName must be set")
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("its Port %d is not between 1 and 65535", s.Port)
	}
	for _, file := range []struct{ field, path string }{
		{"TrustFile", s.TrustFile}, {"CredentialFile", s.CredentialFile},
	} {
		if !path.IsAbs(file.path) {
			return fmt.Errorf("%s %q is not an absolute path", file.field, file.path)
		}
	}
	return nil
}

// XDSTrust is the content of an XDSService's TrustFile: the CA certificates, in
// PEM, one of which the control plane's certificate must chain to.
func XDSTrust(bundle []byte) ([]byte, error) {
	if !bytes.Contains(bundle, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, errors.New("xDS trust: the bundle holds no PEM certificate")
	}
	return secretFile(&tlsv3.Secret{
		Name: trustSecret,
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: inlineBytes(bundle),
		}},
	})
}

// XDSCredential is the content of an XDSService's CredentialFile: where the
// token is, an absolute path.
func XDSCredential(token string) ([]byte, error) {
	if !path.IsAbs(token) {
		return nil, fmt.Errorf("xDS credential: %q is not an absolute path", token)
	}
	return secretFile(&tlsv3.Secret{
		Name: credentialSecret,
		Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: &corev3.DataSource{
			Specifier:        &corev3.DataSource_Filename{Filename: token},
			WatchedDirectory: &corev3.WatchedDirectory{Path: path.Dir(token)},
		}}},
	})
}

// secretFile is a secret as Envoy reads it from a path: a DiscoveryResponse. It
// is put together here because the Go package of that message comes with gRPC.
func secretFile(secret *tlsv3.Secret) ([]byte, error) {
	packed, err := pack(secret)
	if err != nil {
		return nil, err
	}
	resource, err := JSON(packed)
	if err != nil {
		return nil, err
	}
	response := struct {
		Resources []json.RawMessage `json:"resources"`
	}{[]json.RawMessage{resource}}
	text, err := json.MarshalIndent(response, "", "  ")
	return append(text, '\n'), err
}

// fromFile is a secret that comes from a file.
func fromFile(name, file string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{
		Name: name,
		SdsConfig: &corev3.ConfigSource{
			ResourceApiVersion:  corev3.ApiVersion_V3,
			InitialFetchTimeout: durationpb.New(fetchTimeout),
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
				Path:             file,
				WatchedDirectory: &corev3.WatchedDirectory{Path: path.Dir(file)},
			}},
		},
	}
}

// cluster is the control plane's. Its name is looked up again every few seconds
// and, where that failed, soon: an Envoy may start before the cluster's DNS
// knows the Service.
func (s *XDSService) cluster() (*clusterv3.Cluster, error) {
	filters, err := s.identify()
	if err != nil {
		return nil, err
	}
	options, err := xdsOptions(10*time.Second, 5*time.Second, filters...)
	if err != nil {
		return nil, err
	}
	lookup, err := pack(&dnsv3.DnsCluster{
		DnsLookupFamily: dnscommonv3.DnsLookupFamily_ALL,
		DnsRefreshRate:  durationpb.New(5 * time.Second),
		DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{
			BaseInterval: durationpb.New(250 * time.Millisecond),
			MaxInterval:  durationpb.New(time.Second),
		},
	})
	if err != nil {
		return nil, err
	}
	socket, err := transportSocket(s.tls())
	if err != nil {
		return nil, err
	}
	return &clusterv3.Cluster{
		Name: XDSCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
			Name: dnsCluster, TypedConfig: lookup,
		}},
		ConnectTimeout:                durationpb.New(time.Second),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptions: options},
		LoadAssignment:                xdsEndpoint(socketAddress(s.Host, s.Port)),
		TransportSocket:               socket,
	}, nil
}

// tls is TLS 1.3 to the one name. The name is part of the bootstrap, so that
// the file with the CA cannot leave it out.
func (s *XDSService) tls() *tlsv3.UpstreamTlsContext {
	return &tlsv3.UpstreamTlsContext{
		Sni: s.ServerName,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams: &tlsv3.TlsParameters{
				TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
				TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			},
			AlpnProtocols: []string{"h2"},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext: &tlsv3.CertificateValidationContext{
						MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
							SanType: tlsv3.SubjectAltNameMatcher_DNS,
							Matcher: &matcherv3.StringMatcher{
								MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s.ServerName},
							},
						}},
					},
					ValidationContextSdsSecretConfig: fromFile(trustSecret, s.TrustFile),
				},
			},
		},
	}
}

// identify puts the token into every request. Without one nothing is sent: the
// control plane would refuse it.
func (s *XDSService) identify() ([]*hcmv3.HttpFilter, error) {
	credential, err := pack(&genericv3.Generic{
		Credential: fromFile(credentialSecret, s.CredentialFile),
		// The default of header is "authorization".
		HeaderValuePrefix: "Bearer ",
	})
	if err != nil {
		return nil, err
	}
	injector, err := pack(&injectorv3.CredentialInjector{
		Overwrite:  true,
		Credential: &corev3.TypedExtensionConfig{Name: genericCredential, TypedConfig: credential},
	})
	if err != nil {
		return nil, err
	}
	codec, err := pack(&codecv3.UpstreamCodec{})
	if err != nil {
		return nil, err
	}
	return []*hcmv3.HttpFilter{
		{Name: credentialInjector, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: injector}},
		{Name: upstreamCodec, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: codec}},
	}, nil
}
