package pin

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Kind says what of a certificate is hashed.
type Kind uint8

// The kinds of pins. Envoy matches either kind against the leaf only.
const (
	// SPKI is the SHA-256 of the DER SubjectPublicKeyInfo; it survives a
	// renewal that keeps the key.
	SPKI Kind = iota + 1
	// Certificate is the SHA-256 of the whole DER certificate.
	Certificate
)

// Pin is one fingerprint. It is comparable.
type Pin struct {
	Kind Kind
	Sum  [sha256.Size]byte
}

// OfKey is the SPKI pin of a certificate's public key.
func OfKey(cert *x509.Certificate) Pin {
	return Pin{Kind: SPKI, Sum: sha256.Sum256(cert.RawSubjectPublicKeyInfo)}
}

// OfCertificate is the Certificate pin of a certificate.
func OfCertificate(cert *x509.Certificate) Pin { return OfDER(cert.Raw) }

// OfDER is the Certificate pin of a certificate in DER, which is not parsed.
func OfDER(cert []byte) Pin {
	return Pin{Kind: Certificate, Sum: sha256.Sum256(cert)}
}

// OfPublicKey is the SPKI pin of a public key of a kind that crypto/x509 encodes.
func OfPublicKey(key crypto.PublicKey) (Pin, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Pin{}, fmt.Errorf("encode public key: %w", err)
	}
	return Pin{Kind: SPKI, Sum: sha256.Sum256(der)}, nil
}

// String is the canonical form that policies carry: spki-sha256:BASE64 or
// cert-sha256:HEX.
func (p Pin) String() string {
	if p.Kind == SPKI {
		return "spki-sha256:" + p.Base64()
	}
	return "cert-sha256:" + p.Hex()
}

// Base64 is the padded standard base64 of the sum (Envoy's form of an SPKI pin).
func (p Pin) Base64() string { return base64.StdEncoding.EncodeToString(p.Sum[:]) }

// Hex is the lower-case hex of the sum (Envoy's form of a certificate pin).
func (p Pin) Hex() string { return hex.EncodeToString(p.Sum[:]) }

// Matches says whether the leaf certificate has this pin.
func (p Pin) Matches(leaf *x509.Certificate) bool {
	switch p.Kind {
	case SPKI:
		return OfKey(leaf).Sum == p.Sum
	case Certificate:
		return OfCertificate(leaf).Sum == p.Sum
	default:
		return false
	}
}

// MatchAny is the first of the pins that the leaf certificate has.
func MatchAny(pins []Pin, leaf *x509.Certificate) (Pin, bool) {
	key, whole := OfKey(leaf), OfCertificate(leaf)
	for _, p := range pins {
		if p == key || p == whole {
			return p, true
		}
	}
	return Pin{}, false
}
