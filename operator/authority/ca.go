package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// caLife is how long a CA is valid; a new one is made after two thirds of it.
	caLife = 365 * 24 * time.Hour
	// backdate is how long before its making a certificate is valid, for clients
	// whose clocks are behind.
	backdate = time.Hour
	// maxPEM is many times what one certificate or key has.
	maxPEM = 32 << 10
)

// ca is one CA certificate, with its key if it is to sign.
type ca struct {
	certificate *x509.Certificate
	key         crypto.Signer
	keyPEM      []byte
}

// newCA makes a CA: ECDSA on P-256, for certificates of servers that it signs
// itself.
func newCA(now time.Time) (*ca, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of a CA: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// Names differ, so that a chain is built with the right one of two.
		Subject:               pkix.Name{CommonName: "backendtls xds CA " + serial.Text(16)[:8]},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of a CA: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of a CA: %w", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return parseCA(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM, true)
}

// serialNumber is 120 random bits of eight digits at least.
func serialNumber() (*big.Int, error) {
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	raw[0] = 1
	return new(big.Int).SetBytes(raw), nil
}

// expired says whether the CA cannot sign any more.
func (c *ca) expired(now time.Time) bool { return !now.Before(c.certificate.NotAfter) }

// end is when it expires, in words.
func (c *ca) end() string { return c.certificate.NotAfter.UTC().Format(time.RFC3339) }

// parseCA reads a CA; the key only if it is wanted. Its errors repeat nothing
// of a key.
func parseCA(certificatePEM, keyPEM []byte, withKey bool) (*ca, error) {
	der, err := onlyBlock(certificatePEM, "CERTIFICATE")
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	if !certificate.IsCA || !certificate.BasicConstraintsValid || certificate.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("the certificate is not one of a CA")
	}
	if !withKey {
		return &ca{certificate: certificate}, nil
	}
	keyDER, err := onlyBlock(keyPEM, "PRIVATE KEY")
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, errors.New("the key is not one in PKCS #8")
	}
	key, isEC := parsed.(*ecdsa.PrivateKey)
	if !isEC {
		return nil, errors.New("the key is not one of ECDSA")
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("the key is not the certificate's")
	}
	return &ca{certificate: certificate, key: key, keyPEM: keyPEM}, nil
}

// onlyBlock is the content of PEM text with one block of that type and nothing
// else.
func onlyBlock(text []byte, kind string) ([]byte, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("it is longer than %d bytes", maxPEM)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("it is no %s in PEM", kind)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("it has several blocks of PEM, want one")
	}
	return block.Bytes, nil
}

// pem is the certificate; nil for no CA.
func (c *ca) pem() []byte {
	if c == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw})
}

// old says whether two thirds of its life have passed.
func (c *ca) old(now time.Time) bool {
	life := c.certificate.NotAfter.Sub(c.certificate.NotBefore)
	return !now.Before(c.certificate.NotBefore.Add(life / 3 * 2))
}

// name is what the CA is called in the log.
func (c *ca) name() string {
	return c.certificate.Subject.CommonName + ", serial " + hex.EncodeToString(c.certificate.SerialNumber.Bytes())
}
