package assess

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/pin"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Certificate describes a certificate, with its PEM if asked for.
func Certificate(cert *x509.Certificate, withPEM bool) cliv1alpha1.Certificate {
	described := cliv1alpha1.Certificate{
		Subject:      untrusted.Text(cert.Subject.String()),
		Issuer:       untrusted.Text(cert.Issuer.String()),
		SelfSigned:   SelfSigned(cert),
		SANs:         untrusted.Texts(names(cert)),
		SerialNumber: fmt.Sprintf("%x", cert.SerialNumber),
		NotBefore:    metav1.NewTime(cert.NotBefore.UTC()),
		NotAfter:     metav1.NewTime(cert.NotAfter.UTC()),
		Key:          publicKey(cert),
		SPKISHA256:   pin.OfKey(cert).String(),
		CertSHA256:   pin.OfCertificate(cert).String(),
	}
	if withPEM {
		described.PEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return described
}

// SelfSigned says whether the certificate's own key signed it. CheckSignature
// is asked, not CheckSignatureFrom, which also wants the issuer to be a CA.
func SelfSigned(cert *x509.Certificate) bool {
	return cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// names are the subject alternative names, each as KIND:NAME.
func names(cert *x509.Certificate) []string {
	var list []string
	for _, name := range cert.DNSNames {
		list = append(list, "DNS:"+name)
	}
	for _, uri := range cert.URIs {
		list = append(list, "URI:"+uri.String())
	}
	for _, ip := range cert.IPAddresses {
		list = append(list, "IP:"+ip.String())
	}
	for _, address := range cert.EmailAddresses {
		list = append(list, "EMAIL:"+address)
	}
	return list
}

// publicKey is the kind and size of the key.
func publicKey(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	default:
		return cert.PublicKeyAlgorithm.String()
	}
}

// chain parses what an endpoint presented, up to the first certificate that
// does not parse.
func chain(presented [][]byte) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, der := range presented {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			break
		}
		certs = append(certs, cert)
	}
	return certs
}

// tlsVersion is the number of a TLS version, "" for none.
func tlsVersion(version uint16) string {
	switch version {
	case 0:
		return ""
	case tls.VersionTLS10:
		return "1.0"
	case tls.VersionTLS11:
		return "1.1"
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	default:
		return fmt.Sprintf("0x%04x", version)
	}
}
