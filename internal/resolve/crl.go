package resolve

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/model"
)

// crlScope says which certificates are asked about.
type crlScope string

// The scopes. Leaf is the default.
const (
	crlScopeLeaf  crlScope = "Leaf"
	crlScopeChain crlScope = "Chain"
)

func readCRLScope(value string) (crlScope, error) {
	switch scope := crlScope(value); scope {
	case crlScopeLeaf, crlScopeChain:
		return scope, nil
	default:
		return "", fmt.Errorf("%q is neither %s nor %s", value, crlScopeLeaf, crlScopeChain)
	}
}

// crlBlock is the type of the PEM block of a revocation list (RFC 7468 section 6).
const crlBlock = "X509 CRL"

// The extensions by which a list speaks of some certificates or changes only
// (RFC 5280 sections 5.2.4 and 5.2.5).
var (
	oidDeltaCRL          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// parseCRLs reads every revocation list of a PEM text, in order.
func parseCRLs(text []byte) ([]*x509.RevocationList, error) {
	if len(text) > maxBundle {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(text), maxBundle)
	}
	starts := bytes.Count(text, pemStart)
	if starts == 0 {
		return nil, fmt.Errorf("holds no PEM revocation list (-----BEGIN %s-----); `openssl crl -inform DER` makes one",
			crlBlock)
	}
	var lists []*x509.RevocationList
	blocks := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		list, err := parseCRL(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", blocks, err)
		}
		lists = append(lists, list)
	}
	// pem.Decode passes over what it cannot read.
	if blocks != starts {
		return nil, fmt.Errorf("%d of %d PEM blocks cannot be decoded", starts-blocks, starts)
	}
	return lists, nil
}

// parseCRL reads a complete list. One of another kind is refused: Envoy would
// pass over it, or over its entries.
func parseCRL(block *pem.Block) (*x509.RevocationList, error) {
	if block.Type != crlBlock {
		return nil, fmt.Errorf("%q where only %s is expected", block.Type, crlBlock)
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a revocation list of version 2: %w", err)
	}
	for _, extension := range list.Extensions {
		switch {
		case extension.Id.Equal(oidDeltaCRL):
			return nil, errors.New("is a delta, which holds changes only; want the complete list")
		case extension.Id.Equal(oidDistributionPoint):
			return nil, errors.New("speaks of a part of the certificates only (issuingDistributionPoint); want a complete list")
		case extension.Critical:
			return nil, fmt.Errorf("has the critical extension %s, which is not known", extension.Id)
		}
	}
	for _, entry := range list.RevokedCertificateEntries {
		if slices.ContainsFunc(entry.Extensions, func(e pkix.Extension) bool { return e.Critical }) {
			return nil, fmt.Errorf("its entry for serial %s has a critical extension, which is not known", entry.SerialNumber)
		}
	}
	return list, nil
}

// listSet is revocation lists in the form of a Trust.
type listSet struct {
	raw    [][]byte
	digest string
}

func newListSet(lists []*x509.RevocationList) listSet {
	raw := make([][]byte, len(lists))
	for i, list := range lists {
		raw[i] = list.Raw
	}
	slices.SortFunc(raw, bytes.Compare)
	raw = slices.CompactFunc(raw, bytes.Equal)
	return listSet{raw: raw, digest: model.DigestAnchors(raw)}
}
