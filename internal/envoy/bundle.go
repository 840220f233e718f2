package envoy

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
)

// bundles remembers what one translation learned about anchors and revocation
// lists: their PEM, and which PEM texts are sound. Thousands of backends usually trust the same few
// sets (the system roots are 200 KB), which are then encoded, parsed and kept
// in memory once.
type bundles struct {
	texts   map[anchorSet]string
	digests map[anchorSet]string
	sound   map[pemText]int
}

// anchorSet is the identity of a slice of the model, which is immutable:
// backends with the same CA share one.
type anchorSet struct {
	first *[]byte
	count int
}

// pemText is a PEM text and the type that its blocks must have.
type pemText struct{ kind, text string }

// The types of PEM blocks that a trust has.
const (
	pemCertificate = "CERTIFICATE"
	pemCRL         = "X509 CRL"
)

// pem is the anchors, or the revocation lists, as one PEM text.
func (b *bundles) pem(kind string, anchors [][]byte) string {
	set := anchorSet{first: &anchors[0], count: len(anchors)}
	if text, known := b.texts[set]; known {
		return text
	}
	var text strings.Builder
	for _, der := range anchors {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	if b.texts == nil {
		b.texts = map[anchorSet]string{}
	}
	b.texts[set] = text.String()
	return text.String()
}

// digest is model.DigestAnchors, computed here whatever the model says.
func (b *bundles) digest(anchors [][]byte) string {
	set := anchorSet{first: &anchors[0], count: len(anchors)}
	if digest, known := b.digests[set]; known {
		return digest
	}
	if b.digests == nil {
		b.digests = map[anchorSet]string{}
	}
	b.digests[set] = model.DigestAnchors(anchors)
	return b.digests[set]
}

// count is the number of certificates, or of revocation lists, in a PEM text.
// Anything else in it is an error: Envoy would skip it, or refuse the whole text.
func (b *bundles) count(kind, text string) (int, error) {
	if n, known := b.sound[pemText{kind, text}]; known {
		return n, nil
	}
	if text == "" {
		return 0, errors.New("it is empty")
	}
	n, rest := 0, []byte(text)
	for len(rest) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return 0, fmt.Errorf("what follows block %d is not PEM", n)
		case block.Type != kind:
			return 0, fmt.Errorf("block %d is a %s, not a %s", n+1, block.Type, kind)
		}
		if err := parse(kind, block.Bytes); err != nil {
			return 0, fmt.Errorf("block %d: %w", n+1, err)
		}
		n++
	}
	if b.sound == nil {
		b.sound = map[pemText]int{}
	}
	b.sound[pemText{kind, text}] = n
	return n, nil
}

func parse(kind string, der []byte) (err error) {
	switch kind {
	case pemCertificate:
		_, err = x509.ParseCertificate(der)
	case pemCRL:
		_, err = x509.ParseRevocationList(der)
	default:
		err = fmt.Errorf("%q is not a type of a trust's", kind)
	}
	return err
}
