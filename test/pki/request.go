package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// Request says what certificate to make. The zero value of a field is what an
// ordinary server certificate has, or, with CA set, an ordinary authority.
type Request struct {
	// Name is the subject's common name.
	Name string
	// RawSubject replaces Name: the DER of any Name.
	RawSubject []byte
	// NotBefore and NotAfter bound the validity, both inclusive, whole seconds.
	NotBefore, NotAfter time.Time
	// DNS, URIs and IPs are the subject alternative names.
	DNS  []string
	URIs []string
	IPs  []netip.Addr
	// Key is used instead of a new key of KeyType: for a renewal that keeps its
	// key, or several certificates of one key.
	Key     crypto.Signer
	KeyType KeyType
	// PublicKey is certified instead of Key's: a key that nobody holds, such as
	// one that is too large to make. Not for SelfSigned, which must sign.
	PublicKey crypto.PublicKey
	// CA sets basicConstraints CA:TRUE and the key usages of an authority.
	CA bool
	// NoBasicConstraints leaves the extension out.
	NoBasicConstraints bool
	// PathLength bounds the intermediates below a CA; nil is no bound.
	PathLength *int
	// KeyUsage replaces the default: digitalSignature, for a CA certSign and
	// crlSign.
	KeyUsage x509.KeyUsage
	// NoKeyUsage leaves the extension out.
	NoKeyUsage bool
	// ExtKeyUsage replaces the default: serverAuth, for a CA none.
	ExtKeyUsage []x509.ExtKeyUsage
	// NoExtKeyUsage leaves the extension out.
	NoExtKeyUsage bool
	// PermittedDNS and ExcludedDNS are name constraints of a CA.
	PermittedDNS, ExcludedDNS []string
	// Serial is the serial number; 0 is a random one.
	Serial int64
	// Extensions are added as they are.
	Extensions []pkix.Extension
	// SignatureAlgorithm is the issuer's; 0 is its key's default.
	SignatureAlgorithm x509.SignatureAlgorithm
}

// template is the request in the form crypto/x509 wants.
func (r Request) template() (*x509.Certificate, error) {
	serial, err := r.serial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: r.Name},
		RawSubject:            r.RawSubject,
		NotBefore:             r.NotBefore,
		NotAfter:              r.NotAfter,
		DNSNames:              r.DNS,
		BasicConstraintsValid: !r.NoBasicConstraints,
		IsCA:                  r.CA,
		KeyUsage:              r.keyUsage(),
		ExtKeyUsage:           r.extKeyUsage(),
		PermittedDNSDomains:   r.PermittedDNS,
		ExcludedDNSDomains:    r.ExcludedDNS,
		ExtraExtensions:       r.Extensions,
		SignatureAlgorithm:    r.SignatureAlgorithm,
	}
	if r.PathLength != nil {
		template.MaxPathLen, template.MaxPathLenZero = *r.PathLength, *r.PathLength == 0
	}
	for _, address := range r.IPs {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	for _, raw := range r.URIs {
		uri, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("certificate %q: %w", r.Name, err)
		}
		template.URIs = append(template.URIs, uri)
	}
	return template, nil
}

func (r Request) serial() (*big.Int, error) {
	if r.Serial != 0 {
		return big.NewInt(r.Serial), nil
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func (r Request) keyUsage() x509.KeyUsage {
	switch {
	case r.NoKeyUsage:
		return 0
	case r.KeyUsage != 0:
		return r.KeyUsage
	case r.CA:
		return x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	default:
		return x509.KeyUsageDigitalSignature
	}
}

func (r Request) extKeyUsage() []x509.ExtKeyUsage {
	switch {
	case r.NoExtKeyUsage:
		return nil
	case r.ExtKeyUsage != nil:
		return r.ExtKeyUsage
	case r.CA:
		return nil
	default:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
}

// CSR is a certificate signing request for the request's name, DNS names and
// Key (a new one of KeyType if nil), PEM.
func (r Request) CSR() ([]byte, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: r.Name},
		DNSNames: r.DNS,
	}, key)
	if err != nil {
		return nil, fmt.Errorf("signing request %q: %w", r.Name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

func (r Request) key() (crypto.Signer, error) {
	if r.Key != nil {
		return r.Key, nil
	}
	return NewKey(r.KeyType)
}
