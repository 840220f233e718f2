package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

// Identity is a certificate, its private key, and the intermediates that a
// server presents with it. One with Request.CA set may issue others; so may
// one without, for tests of what must be refused.
type Identity struct {
	Certificate *x509.Certificate
	// Key is nil where Request.PublicKey was certified.
	Key crypto.Signer
	// Path is the intermediates from the issuer upward, without the root.
	Path []*x509.Certificate

	selfSigned bool
}

// SelfSigned makes a certificate signed by its own key: a root, or what a
// backend without an authority serves.
func SelfSigned(request Request) (*Identity, error) {
	if request.PublicKey != nil {
		return nil, fmt.Errorf("certificate %q: a self-signed certificate needs its private key", request.Name)
	}
	key, err := request.key()
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", request.Name, err)
	}
	template, err := request.template()
	if err != nil {
		return nil, err
	}
	cert, err := create(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", request.Name, err)
	}
	return &Identity{Certificate: cert, Key: key, selfSigned: true}, nil
}

// Issue makes a certificate signed by this identity.
func (i *Identity) Issue(request Request) (*Identity, error) {
	template, err := request.template()
	if err != nil {
		return nil, err
	}
	issued := &Identity{Path: i.chain()}
	if i.selfSigned {
		issued.Path = nil
	}
	public := request.PublicKey
	if public == nil {
		if issued.Key, err = request.key(); err != nil {
			return nil, fmt.Errorf("certificate %q: %w", request.Name, err)
		}
		public = issued.Key.Public()
	}
	if issued.Certificate, err = create(template, i.Certificate, public, i.Key); err != nil {
		return nil, fmt.Errorf("certificate %q: %w", request.Name, err)
	}
	return issued, nil
}

func create(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (i *Identity) chain() []*x509.Certificate {
	return append([]*x509.Certificate{i.Certificate}, i.Path...)
}

// DER is what a server presents: the certificate, then Path.
func (i *Identity) DER() [][]byte {
	chain := make([][]byte, 0, len(i.Path)+1)
	for _, cert := range i.chain() {
		chain = append(chain, cert.Raw)
	}
	return chain
}

// PEM is the certificate alone.
func (i *Identity) PEM() []byte { return encode(i.Certificate) }

// ChainPEM is what a server presents: the certificate, then Path.
func (i *Identity) ChainPEM() []byte {
	var out []byte
	for _, cert := range i.chain() {
		out = slices.Concat(out, encode(cert))
	}
	return out
}

// KeyPEM is the private key as a PKCS #8 PEM block.
func (i *Identity) KeyPEM() ([]byte, error) {
	if i.Key == nil {
		return nil, fmt.Errorf("certificate %q: nobody holds its private key", i.Certificate.Subject.CommonName)
	}
	return KeyPEM(i.Key)
}

// TLS is the identity as a crypto/tls server presents it.
func (i *Identity) TLS() tls.Certificate {
	return tls.Certificate{Certificate: i.DER(), PrivateKey: i.Key, Leaf: i.Certificate}
}

func encode(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
