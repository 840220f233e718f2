package pin

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// OfPEM is the pin of the one certificate, certificate signing request or public
// key that PEM data holds: of a key that a backend does not serve yet. Only a
// certificate has a Certificate pin. A private key is refused without repeating
// any of it, and so is data with several blocks: which one is meant is not
// guessed.
func OfPEM(kind Kind, data []byte) (Pin, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return Pin{}, err
	}
	spki, err := publicKeyOf(block)
	if err != nil {
		return Pin{}, err
	}
	switch {
	case kind == SPKI:
		return Pin{Kind: SPKI, Sum: sha256.Sum256(spki)}, nil
	case kind == Certificate && block.Type == "CERTIFICATE":
		return OfDER(block.Bytes), nil
	case kind == Certificate:
		return Pin{}, fmt.Errorf("a cert-sha256 pin needs the certificate itself, not a %q", block.Type)
	default:
		return Pin{}, fmt.Errorf("unknown kind of pin %d", kind)
	}
}

// onlyBlock is the one PEM block in data. Every block is looked at, so that a
// private key is told from a mere surplus.
func onlyBlock(data []byte) (*pem.Block, error) {
	var only *pem.Block
	count := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("the data holds a private key: " +
				"give the certificate, its signing request or the public key instead, and keep the key to yourself")
		}
		only = block
		count++
	}
	switch count {
	case 0:
		return nil, errors.New("no PEM block: want a CERTIFICATE, CERTIFICATE REQUEST or PUBLIC KEY")
	case 1:
		return only, nil
	default:
		return nil, fmt.Errorf("%d PEM blocks, want one: the certificate alone, its signing request or the public key",
			count)
	}
}

// publicKeyOf is the DER SubjectPublicKeyInfo of what the block holds.
func publicKeyOf(block *pem.Block) ([]byte, error) {
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		return cert.RawSubjectPublicKeyInfo, nil
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate signing request: %w", err)
		}
		// The signature shows that whoever asks holds the key.
		if err := request.CheckSignature(); err != nil {
			return nil, fmt.Errorf("certificate signing request: %w", err)
		}
		return request.RawSubjectPublicKeyInfo, nil
	case "PUBLIC KEY":
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, fmt.Errorf("parse public key: %w", err)
		}
		return block.Bytes, nil
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse public key: %w", err)
		}
		return x509.MarshalPKIXPublicKey(key)
	default:
		return nil, fmt.Errorf("PEM block %s, want a CERTIFICATE, CERTIFICATE REQUEST or PUBLIC KEY", quote(block.Type))
	}
}
