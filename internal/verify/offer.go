package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
)

// The versions of TLS that Envoy speaks, as in crypto/tls.
const (
	versionTLS12 = 0x0303
	versionTLS13 = 0x0304
)

// offer is what Envoy offers to a backend under a trust.
type offer struct {
	least, most                uint16
	suites, curves, algorithms []string
}

// offerOf is what the trust says, Envoy's defaults where it says nothing.
func offerOf(trust *model.Trust) offer {
	offered := offer{least: versionTLS12, most: versionTLS13}
	if trust != nil {
		offered.suites, offered.curves, offered.algorithms = trust.Suites, trust.Curves, trust.SignatureAlgorithms
		offered.least = max(offered.least, trust.MinTLSVersion)
		if trust.MaxTLSVersion != 0 {
			offered.most = trust.MaxTLSVersion
		}
	}
	if len(offered.suites) == 0 {
		for _, suite := range model.CipherSuites {
			if suite.Usual {
				offered.suites = append(offered.suites, suite.Name)
			}
		}
	}
	if len(offered.curves) == 0 {
		for _, curve := range model.Curves {
			if curve.Usual {
				offered.curves = append(offered.curves, curve.Name)
			}
		}
	}
	if len(offered.algorithms) == 0 {
		for _, algorithm := range model.SignatureAlgorithms {
			if algorithm.Usual {
				offered.algorithms = append(offered.algorithms, algorithm.Name)
			}
		}
	}
	return offered
}

// has says whether a suite of TLS 1.2 is offered.
func (o offer) has(id uint16) bool {
	return slices.ContainsFunc(model.CipherSuites, func(suite model.CipherSuite) bool {
		return suite.ID == id && slices.Contains(o.suites, suite.Name)
	})
}

// fault says why a server cannot use the leaf's key over a version, "" if it can:
// it must sign the handshake in a way that is offered, and up to TLS 1.2 the
// suite must be for such keys, and an ECDSA key lie on a curve that is offered
// (ssl_pkey_supports_algorithm and ssl_check_leaf_certificate in BoringSSL).
func (o offer) fault(leaf *x509.Certificate, version uint16) string {
	if version < o.least || version > o.most {
		return fmt.Sprintf("TLS 1.%d is not offered", version-0x0301)
	}
	wanted, kind := signatures(leaf, version)
	if !slices.ContainsFunc(wanted, func(name string) bool { return slices.Contains(o.algorithms, name) }) {
		return fmt.Sprintf("of the signature algorithms %s none is for it", strings.Join(o.algorithms, ", "))
	}
	if version >= versionTLS13 {
		return ""
	}
	if !slices.ContainsFunc(o.suites, func(name string) bool { return strings.HasPrefix(name, "ECDHE-"+kind+"-") }) {
		return fmt.Sprintf("of the cipher suites %s none is for it", strings.Join(o.suites, ", "))
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); ok && !slices.Contains(o.curves, key.Curve.Params().Name) {
		return fmt.Sprintf("up to TLS 1.2 its curve must be offered, and the curves are %s", strings.Join(o.curves, ", "))
	}
	return ""
}

// signatures are the algorithms by which the leaf's key can sign a handshake, by
// Envoy's names, none for a kind that Envoy does not know; and how the suites of
// TLS 1.2 call such keys.
func signatures(leaf *x509.Certificate, version uint16) (names []string, kind string) {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		names = []string{"rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384"}
		// PSS needs room for two hashes and two bytes (RFC 8017 section 9.1.1), which
		// a key of 1024 bits lacks for this one.
		if room := (key.N.BitLen() + 6) / 8; room >= 2*sha512.Size+2 {
			names = append(names, "rsa_pss_rsae_sha512")
		}
		if version < versionTLS13 {
			names = append(names, "rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512")
		}
		return names, "RSA"
	case *ecdsa.PublicKey:
		byCurve := map[string]string{
			"P-256": "ecdsa_secp256r1_sha256", "P-384": "ecdsa_secp384r1_sha384", "P-521": "ecdsa_secp521r1_sha512",
		}
		own, known := byCurve[key.Curve.Params().Name]
		switch {
		case !known:
			return nil, "ECDSA"
		case version >= versionTLS13:
			return []string{own}, "ECDSA"
		default:
			// Before TLS 1.3 the names say nothing about the curve.
			return []string{"ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512"}, "ECDSA"
		}
	case ed25519.PublicKey:
		return []string{"ed25519"}, "ECDSA"
	default:
		return nil, ""
	}
}
