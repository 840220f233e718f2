package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// lifetime is longer than any local cluster lives.
const lifetime = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	now         time.Time
}

// Pair is a certificate and its key, both PEM.
type Pair struct {
	Certificate, Key []byte
}

// Subject is who a certificate speaks for.
type Subject struct {
	Name string
	// Groups become the organisation, which Kubernetes takes for groups.
	Groups    []string
	DNSNames  []string
	Addresses []netip.Addr
	// Server and Client say what the certificate may be used for.
	Server, Client bool
}

// NewAuthority makes an authority that is valid from now on.
func NewAuthority(name string, now time.Time) (*Authority, Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, Pair{}, fmt.Errorf("authority %s: %w", name, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	authority := &Authority{certificate: template, key: key, now: now}
	pair, err := authority.sign(template, key)
	if err != nil {
		return nil, Pair{}, fmt.Errorf("authority %s: %w", name, err)
	}
	block, _ := pem.Decode(pair.Certificate)
	if authority.certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, Pair{}, fmt.Errorf("authority %s: %w", name, err)
	}
	return authority, pair, nil
}

// Issue makes a key and a certificate for it.
func (a *Authority) Issue(subject Subject) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", subject.Name, err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: subject.Name, Organization: subject.Groups},
		NotBefore: a.now.Add(-time.Hour),
		NotAfter:  a.now.Add(lifetime),
		KeyUsage:  x509.KeyUsageDigitalSignature,
		DNSNames:  subject.DNSNames,
	}
	for _, address := range subject.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	if subject.Server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if subject.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	pair, err := a.sign(template, key)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate %s: %w", subject.Name, err)
	}
	return pair, nil
}

func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Pair{}, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}, nil
}

// NewKey makes the key that service account tokens are signed with, and its
// public half.
func NewKey() (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("service account key: %w", err)
	}
	// The controller manager and the API server read an EC key in SEC 1 only.
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("service account key: %w", err)
	}
	publicEncoded, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("service account key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicEncoded}), nil
}
