package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
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
func readPresented(chain [][]byte) ([]*certificate, Check) {
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
	return presented, checkHandshake(presented[0].Certificate)
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

// checkHandshake judges the leaf's key under the defaults that Envoy is run
// with: curves X25519 and P-256, BoringSSL's kVerifySignatureAlgorithms
// (ssl/extensions.cc), and suites that sign with the leaf's key.
func checkHandshake(leaf *x509.Certificate) Check {
	if hasExtension(leaf, oidKeyUsage) && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return failed(KindHandshake, CertificateMismatch,
			"the certificate's keyUsage lacks digitalSignature: Envoy refuses it in the handshake, in every mode")
	}
	description, err := keyFault(leaf)
	if err != nil {
		return failed(KindHandshake, CertificateMismatch,
			"the certificate's key is %s, Envoy accepts RSA, P-256 and P-384 up to %d bits, in every mode: %v",
			description, maxRSABits, err)
	}
	if needsTLS13(leaf) {
		return passed(KindHandshake, "key %s, which works over TLS 1.3 only", description)
	}
	return passed(KindHandshake, "key %s", description)
}

// keyFault describes the leaf's key, with an error if Envoy cannot use it.
func keyFault(leaf *x509.Certificate) (string, error) {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		description := fmt.Sprintf("RSA %d", bits)
		if bits > maxRSABits {
			return description, fmt.Errorf("the modulus has %d bits", bits)
		}
		return description, nil
	case *ecdsa.PublicKey:
		description := "ECDSA " + key.Curve.Params().Name
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return description, fmt.Errorf("the curve is not offered")
		}
		return description, nil
	default:
		return leaf.PublicKeyAlgorithm.String(), fmt.Errorf("the algorithm is not offered")
	}
}

// needsTLS13 says whether the leaf's curve is not among Envoy's, which matters
// up to TLS 1.2 only (ssl_check_leaf_certificate in BoringSSL's ssl_cert.cc).
func needsTLS13(leaf *x509.Certificate) bool {
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	return ok && key.Curve == elliptic.P384()
}
