package model

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
	anchors := c.AnchorsDigest
	if anchors == "" {
		anchors = DigestAnchors(c.Anchors)
	}
	return digest(anchors, c.Fallback)
}
