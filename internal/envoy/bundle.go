package envoy

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
)

// bundles remembers what one translation learned about anchors: their PEM, and
// which PEM texts are sound. Thousands of backends usually trust the same few
// sets (the system roots are 200 KB), which are then encoded, parsed and kept
// in memory once.
type bundles struct {
	texts   map[anchorSet]string
	digests map[anchorSet]string
	sound   map[string]int
}

// anchorSet is the identity of a slice of the model, which is immutable:
// backends with the same CA share one.
type anchorSet struct {
	first *[]byte
	count int
}

// pem is the anchors as one PEM text.
func (b *bundles) pem(anchors [][]byte) string {
	set := anchorSet{first: &anchors[0], count: len(anchors)}
	if text, known := b.texts[set]; known {
		return text
	}
	var text strings.Builder
	for _, der := range anchors {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
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

// count is the number of certificates in a PEM text. Anything else in it is an
// error: Envoy would skip it, or refuse the whole text.
func (b *bundles) count(text string) (int, error) {
	if n, known := b.sound[text]; known {
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
			return 0, fmt.Errorf("what follows certificate %d is not PEM", n)
		case block.Type != "CERTIFICATE":
			return 0, fmt.Errorf("block %d is a %s, not a CERTIFICATE", n+1, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return 0, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		n++
	}
	if b.sound == nil {
		b.sound = map[string]int{}
	}
	b.sound[text] = n
	return n, nil
}
