package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"
)

// leafLife is how long the certificate of a server is valid; a new one is made
// after two thirds of it.
const leafLife = 24 * time.Hour

// leaf is the certificate of this replica's servers. It is in memory only.
type leaf struct {
	certificate *tls.Certificate
	issuer      *ca
	// renew is when the next one is made.
	renew time.Time
}

var errNoCA = errors.New("authority: there is no CA yet")

// certificate is a leaf of the CA that signs now.
func (a *Authority) certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == nil {
		return nil, errNoCA
	}
	now := a.config.Now()
	issuer := a.state.current
	if issuer.expired(now) {
		return nil, fmt.Errorf("authority: the CA expired at %s", issuer.end())
	}
	if l := a.leaf; l != nil && l.issuer.certificate.Equal(issuer.certificate) && now.Before(l.renew) {
		return l.certificate, nil
	}
	made, err := issuer.issue(a.config.ServerNames, now)
	if err != nil {
		a.config.Log.Error("a certificate for the xds server cannot be made", "error", err)
		return nil, err
	}
	a.leaf = made
	return made.certificate, nil
}

// issue makes a leaf for servers of these names.
func (c *ca) issue(names []string, now time.Time) (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority: making a server's key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	begin, end := now.Add(-backdate), now.Add(leafLife)
	if begin.Before(c.certificate.NotBefore) {
		begin = c.certificate.NotBefore
	}
	if end.After(c.certificate.NotAfter) {
		end = c.certificate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "backendtls xds"},
		NotBefore:             begin,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names,
	}, c.certificate, key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("authority: making a server's certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority: reading a server's certificate: %w", err)
	}
	return &leaf{
		certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed},
		issuer:      c,
		renew:       now.Add(end.Sub(now) / 3 * 2),
	}, nil
}
