package verify

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
)

// The extensions that a path decision needs by name.
var (
	oidKeyUsage          = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName    = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints  = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNameConstraints   = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidPolicies          = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidPolicyMappings    = asn1.ObjectIdentifier{2, 5, 29, 33}
	oidAuthorityKey      = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidPolicyConstraints = asn1.ObjectIdentifier{2, 5, 29, 36}
	oidExtKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidInhibitAnyPolicy  = asn1.ObjectIdentifier{2, 5, 29, 54}
)

// criticalKnown are the extensions that BoringSSL processes and so may be
// critical: X509_supported_extension in v3_purp.cc.
var criticalKnown = []asn1.ObjectIdentifier{
	oidKeyUsage, oidSubjectAltName, oidBasicConstraints, oidNameConstraints, oidPolicies, oidPolicyMappings,
	oidPolicyConstraints, oidExtKeyUsage, oidInhibitAnyPolicy,
}

// certificate is a certificate with what BoringSSL caches of it
// (x509v3_cache_extensions in v3_purp.cc).
type certificate struct {
	*x509.Certificate
	// subject and issuer are canonical: equal where X509_NAME_cmp is 0.
	subject, issuer string
	authority       authorityKey
	// selfIssued: issuer and subject are equal. selfSigned, which BoringSSL
	// decides without a look at the signature: its own key could have signed it.
	selfIssued, selfSigned bool
}

// authorityKey is the authorityKeyIdentifier extension (RFC 5280 section
// 4.2.1.1); empty fields are absent.
type authorityKey struct {
	keyID  []byte
	issuer string
	serial *big.Int
}

func readCertificate(cert *x509.Certificate) *certificate {
	c := &certificate{
		Certificate: cert,
		subject:     canonicalName(cert.RawSubject),
		issuer:      canonicalName(cert.RawIssuer),
		authority:   readAuthorityKey(cert),
	}
	c.selfIssued = c.subject == c.issuer
	c.selfSigned = c.selfIssued && c.signsFor(c)
	return c
}

func readAuthorityKey(cert *x509.Certificate) authorityKey {
	found := authorityKey{keyID: cert.AuthorityKeyId}
	var fields struct {
		KeyID  []byte        `asn1:"optional,tag:0"`
		Issuer asn1.RawValue `asn1:"optional,tag:1"`
		Serial *big.Int      `asn1:"optional,tag:2"`
	}
	if _, err := asn1.Unmarshal(extension(cert, oidAuthorityKey), &fields); err != nil {
		return found
	}
	found.serial = fields.Serial
	names, err := readGeneralNames(fields.Issuer.Bytes)
	if err != nil {
		return found
	}
	// BoringSSL takes the first directory name and ignores the others.
	i := slices.IndexFunc(names, func(n generalName) bool { return n.kind == nameDirectory })
	if i >= 0 {
		found.issuer = canonicalName(names[i].value)
	}
	return found
}

// signsFor says whether c names itself as what could have signed subject, by
// the identifiers and the keyUsage (X509_check_akid and X509_check_issued).
func (c *certificate) signsFor(subject *certificate) bool {
	wanted := subject.authority
	switch {
	case c.subject != subject.issuer:
		return false
	case len(wanted.keyID) > 0 && len(c.SubjectKeyId) > 0 && !bytes.Equal(wanted.keyID, c.SubjectKeyId):
		return false
	case wanted.serial != nil && wanted.serial.Cmp(c.SerialNumber) != 0:
		return false
	case wanted.issuer != "" && wanted.issuer != c.issuer:
		return false
	default:
		return !hasExtension(c.Certificate, oidKeyUsage) || c.KeyUsage&x509.KeyUsageCertSign != 0
	}
}

// isAuthority is BoringSSL's check_ca, less its keyUsage part, which signsFor
// has settled for every certificate above the leaf.
func (c *certificate) isAuthority() bool {
	return c.Version == 1 && c.selfSigned || c.BasicConstraintsValid && c.IsCA
}

// pathLength is the bound on intermediates below, -1 for none.
func (c *certificate) pathLength() int {
	if !c.BasicConstraintsValid || c.MaxPathLen == 0 && !c.MaxPathLenZero {
		return -1
	}
	return c.MaxPathLen
}

// fault says what makes BoringSSL refuse to process the extensions at all, ""
// for nothing: a path length where there is no CA.
func (c *certificate) fault() string {
	if c.pathLength() >= 0 && !c.IsCA {
		return "its basicConstraints have a path length without CA:TRUE"
	}
	return ""
}

// unknownCritical is the first critical extension that BoringSSL does not
// process, "" for none.
func (c *certificate) unknownCritical() string {
	for _, ext := range c.Extensions {
		if ext.Critical && !slices.ContainsFunc(criticalKnown, ext.Id.Equal) {
			return ext.Id.String()
		}
	}
	return ""
}

// servesTLS says whether the extended key usage names serverAuth itself.
func (c *certificate) servesTLS() bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
}

func hasExtension(cert *x509.Certificate, id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

// extension is the extension's value, nil if there is none.
func extension(cert *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, ext := range cert.Extensions {
		if ext.Id.Equal(id) {
			return ext.Value
		}
	}
	return nil
}
