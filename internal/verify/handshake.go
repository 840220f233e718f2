package verify

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// maxChainBytes is the largest Certificate message that Envoy reads:
	// SSL_MAX_CERT_LIST_DEFAULT in BoringSSL's include/openssl/ssl.h.
	maxChainBytes = 100 * 1024
	// maxRSABits is OPENSSL_RSA_MAX_MODULUS_BITS.
	maxRSABits = 16384
)

// readPresented parses what the endpoint presented, and judges what BoringSSL
// refuses in the handshake itself, before and regardless of verification. It
// returns no certificates where none can be judged further.
func readPresented(chain [][]byte, trust *model.Trust) ([]*certificate, Check) {
	if len(chain) == 0 {
		return nil, failed(KindHandshake, CertificateMismatch, "the endpoint presented no certificate")
	}
	if size := messageSize(chain); size > maxChainBytes {
		return nil, failed(KindHandshake, CertificateMismatch,
			"the endpoint presents %d certificates in %d bytes, Envoy reads at most %d bytes",
			len(chain), size, maxChainBytes)
	}
	presented := make([]*certificate, 0, len(chain))
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, failed(KindHandshake, CertificateMismatch,
				"certificate %d of %d that the endpoint presents cannot be parsed: %q", i+1, len(chain), err.Error())
		}
		presented = append(presented, readCertificate(cert))
	}
	return presented, checkHandshake(presented[0].Certificate, offerOf(trust))
}

// messageSize is the size of the TLS 1.2 Certificate message (RFC 5246 section
// 7.4.2), the smallest way to send the chain.
func messageSize(chain [][]byte) int {
	size := 3
	for _, der := range chain {
		size += 3 + len(der)
	}
	return size
}

// checkHandshake judges the leaf's key under what is offered: it must be usable
// over one of the versions.
func checkHandshake(leaf *x509.Certificate, offered offer) Check {
	if hasExtension(leaf, oidKeyUsage) && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return failed(KindHandshake, CertificateMismatch,
			"the certificate's keyUsage lacks digitalSignature: Envoy refuses it in the handshake, in every mode")
	}
	description := describeKey(leaf)
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return failed(KindHandshake, CertificateMismatch,
			"the certificate's key is %s, Envoy uses at most %d bits, in every mode", description, maxRSABits)
	}
	over12, over13 := offered.fault(leaf, versionTLS12), offered.fault(leaf, versionTLS13)
	switch {
	case over13 != "" && over12 != "":
		fault := over13
		if offered.most < versionTLS13 {
			fault = over12
		}
		return failed(KindHandshake, CertificateMismatch,
			"the certificate's key is %s, which Envoy refuses in every mode: %s", description, fault)
	case over12 != "" && offered.least <= versionTLS12:
		return passed(KindHandshake, "key %s, which works over TLS 1.3 only", description)
	case over13 != "" && offered.most >= versionTLS13:
		return passed(KindHandshake, "key %s, which works over TLS 1.2 only", description)
	default:
		return passed(KindHandshake, "key %s", description)
	}
}

func describeKey(leaf *x509.Certificate) string {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	default:
		return leaf.PublicKeyAlgorithm.String()
	}
}
