package envoy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/model"
)

// assertProtocols (A10): the versions are set, because Envoy's own end at TLS
// 1.2, and what ALPN offers is what the cluster speaks.
func assertProtocols(common *tlsv3.CommonTlsContext, b *model.Backend) error {
	if err := assertParameters(common.GetTlsParams(), b.Trust); err != nil {
		return err
	}
	for _, offered := range common.GetAlpnProtocols() {
		if offered != string(b.Protocol) && b.Protocol != model.TCP {
			return fmt.Errorf("A10: ALPN offers %q to a backend that is spoken to in %s", offered, b.Protocol)
		}
	}
	if b.Protocol == model.HTTP2 && len(common.GetAlpnProtocols()) == 0 {
		return errors.New("A10: ALPN does not offer h2 to a backend that is spoken to in h2")
	}
	return nil
}

// assertParameters (A10): the versions are those of the trust, and what is
// offered consists of names that Envoy knows: of the others it would refuse the
// cluster, or, of some lists, leave them out.
func assertParameters(params *tlsv3.TlsParameters, t *model.Trust) error {
	least, most := params.GetTlsMinimumProtocolVersion(), params.GetTlsMaximumProtocolVersion()
	switch {
	case least < tlsv3.TlsParameters_TLSv1_2:
		return errors.New("A10: the least TLS version is below 1.2 or not set")
	case t.MinTLSVersion > tls.VersionTLS12 && least < tlsv3.TlsParameters_TLSv1_3:
		return errors.New("A10: the least TLS version is below the floor of the trust")
	case most < tlsv3.TlsParameters_TLSv1_3 && t.MaxTLSVersion != tls.VersionTLS12:
		return errors.New("A10: the highest TLS version is below 1.3 or not set")
	case most < least:
		return errors.New("A10: the highest TLS version is below the least")
	}
	expected := &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: least,
		TlsMaximumProtocolVersion: most,
		CipherSuites:              t.Suites,
		EcdhCurves:                t.Curves,
		SignatureAlgorithms:       t.SignatureAlgorithms,
	}
	if !proto.Equal(expected, params) {
		return errors.New("A10: what is offered is not what the trust says")
	}
	return assertOffer(t)
}

// assertOffer refuses names that are not the model's.
func assertOffer(t *model.Trust) error {
	for _, list := range []struct {
		what    string
		offered []string
		known   func(name string) bool
	}{
		{"cipher suite", t.Suites, func(name string) bool {
			return slices.ContainsFunc(model.CipherSuites, func(s model.CipherSuite) bool { return s.Name == name })
		}},
		{"curve", t.Curves, func(name string) bool {
			return slices.ContainsFunc(model.Curves, func(c model.Curve) bool { return c.Name == name })
		}},
		{"signature algorithm", t.SignatureAlgorithms, func(name string) bool {
			return slices.ContainsFunc(model.SignatureAlgorithms,
				func(a model.SignatureAlgorithm) bool { return a.Name == name })
		}},
	} {
		for _, name := range list.offered {
			if !list.known(name) {
				return fmt.Errorf("A10: the %s %q is not known", list.what, name)
			}
		}
	}
	return nil
}
