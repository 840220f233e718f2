package pki

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Revocation says what revocation list to make.
type Revocation struct {
	// ThisUpdate and NextUpdate bound the validity; without NextUpdate it has no
	// end.
	ThisUpdate, NextUpdate time.Time
	// Revoked are the certificates on the list.
	Revoked []*Identity
	// Extensions are added as they are.
	Extensions []pkix.Extension
}

// CRL is a revocation list signed by this identity, PEM.
func (i *Identity) CRL(revocation Revocation) ([]byte, error) {
	template := &x509.RevocationList{
		Number:          big.NewInt(1),
		ThisUpdate:      revocation.ThisUpdate,
		NextUpdate:      revocation.NextUpdate,
		ExtraExtensions: revocation.Extensions,
	}
	for _, revoked := range revocation.Revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: revoked.Certificate.SerialNumber, RevocationTime: revocation.ThisUpdate,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, i.Certificate, i.Key)
	if err != nil {
		return nil, fmt.Errorf("revocation list of %q: %w", i.Certificate.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}
