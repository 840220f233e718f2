package envoyvalidate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
	"github.com/backendtls/backendtls/test/envoyvalidate"
)

const goldenFiles = "../../internal/envoy/testdata/"

func golden(t *testing.T, file string) envoy.Resources {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := envoytest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return resources
}

func TestEnvoyAcceptsEveryGoldenTranslation(t *testing.T) {
	files, err := filepath.Glob(goldenFiles + "*.golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no golden files")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if err := envoyvalidate.Resources(t, golden(t, file)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEnvoyAcceptsTheBootstrap(t *testing.T) {
	bootstrap, err := envoy.NewBootstrap(envoy.BootstrapConfig{
		NodeID: "envoy-1", NodeCluster: "default/gw",
		XDSSocket: "/nonexistent/xds.sock", AdminSocket: "/nonexistent/admin.sock",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := envoyvalidate.Bootstrap(t, bootstrap); err != nil {
		t.Error(err)
	}
}

// What the translation refuses is what Envoy would refuse, together with
// everything beside it. These also show that the mode looks at all of it.
func TestEnvoyRefusesWhatTheTranslationNeverSends(t *testing.T) {
	for name, test := range map[string]struct {
		golden string
		spoil  func(*testing.T, envoy.Resources)
		words  string
	}{
		"names without a CA": {
			"trust", spoilTrust(func(v *tlsv3.CertificateValidationContext) { v.TrustedCa = nil }),
			"without trusted CA",
		},
		"a pin of 70 digits": {
			"trust", spoilTrust(func(v *tlsv3.CertificateValidationContext) {
				v.VerifyCertificateHash = []string{strings.Repeat("0", 70)}
			}),
			"Invalid hex-encoded SHA-256",
		},
		"a regular expression with a class that RE2 does not know": {
			"matches", func(_ *testing.T, r envoy.Resources) {
				r.Routes["http/8080"].VirtualHosts[0].Routes[2].Match.PathSpecifier.(*routev3.RouteMatch_SafeRegex).
					SafeRegex.Regex = `/\p{Letter}`
			},
			"invalid character class range",
		},
		"the host header in a modifier": {
			"matches", func(_ *testing.T, r envoy.Resources) {
				r.Routes["http/8080"].VirtualHosts[0].Routes[0].RequestHeadersToAdd[0].Header.Key = "host"
			},
			"host",
		},
		"a certificate without its key": {
			"https", func(_ *testing.T, r envoy.Resources) {
				r.Secrets["default/server"].GetTlsCertificate().PrivateKey = nil
			},
			"private key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			resources := golden(t, goldenFiles+test.golden+".golden.yaml")
			test.spoil(t, resources)
			err := envoyvalidate.Resources(t, resources)
			if err == nil {
				t.Fatal("Envoy takes it")
			}
			if !strings.Contains(err.Error(), test.words) {
				t.Errorf("Envoy does not say %q: %v", test.words, err)
			}
		})
	}
}

// spoilTrust changes the validation context of every cluster that has one.
func spoilTrust(change func(*tlsv3.CertificateValidationContext)) func(*testing.T, envoy.Resources) {
	return func(t *testing.T, resources envoy.Resources) {
		t.Helper()
		for _, cluster := range resources.Clusters {
			context := &tlsv3.UpstreamTlsContext{}
			if err := cluster.GetTransportSocket().GetTypedConfig().UnmarshalTo(context); err != nil {
				t.Fatal(err)
			}
			if v := context.GetCommonTlsContext().GetValidationContext(); v != nil {
				change(v)
			}
			packed, err := anypb.New(context)
			if err != nil {
				t.Fatal(err)
			}
			cluster.TransportSocket.GetTypedConfig().Value = packed.GetValue()
		}
	}
}
