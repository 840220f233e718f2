package model

import "strings"

// The headers by which a backend learns of its client's certificate. Nobody but
// Envoy writes them.
const (
	// ClientCertificateHeader holds what the client presented (Envoy's XFCC).
	ClientCertificateHeader = "x-forwarded-client-cert"
	// ClientVerifiedHeader is "true" or "false" on Servers with a
	// ClientValidation, and absent on others.
	ClientVerifiedHeader = "x-client-cert-verified"
)

// ClientHeader says whether a backend could take a name for one of the headers
// above: CGI and what came after it (WSGI, FastCGI, PHP) fold case, hyphen and
// underscore, and some fold everything that is neither letter nor digit.
func ClientHeader(name string) bool {
	folded := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		default:
			return '-'
		}
	}, name)
	return folded == ClientCertificateHeader || folded == ClientVerifiedHeader
}

// ClientValidation is what a Server makes of the certificates of its clients
// (Gateway API, spec.tls.frontend).
type ClientValidation struct {
	// Anchors are the CA certificates, DER, sorted and never empty: a client's
	// certificate is verified by a chain to any of them.
	Anchors [][]byte
	// AnchorsDigest is DigestAnchors(Anchors), or "": it spares whoever has many
	// Servers with one CA the computation.
	AnchorsDigest string
	// Fallback lets in who presents no certificate, or one that is not verified
	// (AllowInsecureFallback); the backend is told which it was.
	Fallback bool
}

// Digest identifies what is asked: equal digests ask the same.
func (c *ClientValidation) Digest() string {
	if c == nil {
		return ""
	}
	return digest(c.DigestOfAnchors(), c.Fallback)
}

// DigestOfAnchors is DigestAnchors(Anchors), computed only where nobody has.
func (c *ClientValidation) DigestOfAnchors() string {
	if c.AnchorsDigest != "" {
		return c.AnchorsDigest
	}
	return DigestAnchors(c.Anchors)
}
