package verify

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// checkChain judges signatures, what issuers may issue and name constraints.
func checkChain(found path, anchors []*certificate, trust *model.Trust, now time.Time) Check {
	if !found.anchored {
		return failed(KindChain, UntrustedIssuer, "%s", explainUntrusted(found, anchors))
	}
	for _, judge := range []func(path) error{extensionFault, signatureFault, constraintFault} {
		if err := judge(found); err != nil {
			return failed(KindChain, UntrustedIssuer, "%v", err)
		}
	}
	if err := policyFault(found, trust, now); err != nil {
		return failed(KindChain, UntrustedIssuer, "%v", err)
	}
	if found.presented == 0 {
		return passed(KindChain, "certificate %s is itself trusted", found.certs[0].title())
	}
	return passed(KindChain, "certificate %s leads to the trusted certificate %s",
		found.certs[0].title(), found.certs[len(found.certs)-1].title())
}

func explainUntrusted(found path, anchors []*certificate) string {
	last := found.certs[len(found.certs)-1]
	trusted := listTitles(anchors)
	switch {
	case found.shadow != nil:
		return fmt.Sprintf("certificate %s (serial %s) is trusted, but Envoy cannot tell it from the trusted one "+
			"of the same subject (serial %s) and takes that: pin both instead of trusting both",
			last.title(), last.SerialNumber, found.shadow.SerialNumber)
	case len(anchors) == 0:
		return "none of the trusted certificates can be parsed"
	case last.selfSigned && len(found.certs) == 1:
		return fmt.Sprintf("certificate %s is self-signed and not itself trusted, want %s", last.title(), trusted)
	case last.selfSigned:
		return fmt.Sprintf("the presented chain ends in %s, which is not trusted, want %s", last.title(), trusted)
	case len(found.certs) >= maxPath:
		return fmt.Sprintf("the presented chain has more than %d certificates, and none is trusted", maxPath)
	default:
		return fmt.Sprintf("certificate %s was issued by %s, which is neither trusted nor presented, want %s",
			last.title(), quoteName(last.Issuer.String()), trusted)
	}
}

// extensionFault is check_chain_extensions without the extended key usage,
// which checkUsage judges: what is not an anchor must hold only critical
// extensions that are understood, and above the leaf be an authority within its
// path length.
func extensionFault(found path) error {
	below := 0
	for i, cert := range found.certs {
		if fault := cert.fault(); fault != "" {
			return fmt.Errorf("certificate %s is malformed: %s", cert.title(), fault)
		}
		if i >= found.presented {
			continue
		}
		if id := cert.unknownCritical(); id != "" {
			return fmt.Errorf("certificate %s has the critical extension %s, which Envoy does not know",
				cert.title(), id)
		}
		if i > 0 && !cert.isAuthority() {
			return fmt.Errorf("certificate %s issued %s but is no authority (basicConstraints lack CA:TRUE)",
				cert.title(), found.certs[i-1].title())
		}
		if length := cert.pathLength(); i > 1 && length >= 0 && below > length+1 {
			return fmt.Errorf("certificate %s allows a path of %d intermediates, there are %d",
				cert.title(), length, below-1)
		}
		if i == 0 || !cert.selfIssued {
			below++
		}
	}
	return nil
}

// signatureFault verifies every signature of the path but the topmost one,
// which is the anchor's own. MD5 is refused and SHA-1 accepted, by BoringSSL
// (x509_digest_nid_ok) as by CheckSignature.
func signatureFault(found path) error {
	for i := range len(found.certs) - 1 {
		cert, issuer := found.certs[i], found.certs[i+1]
		if key, ok := issuer.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return fmt.Errorf("the key of %s has %d bits, Envoy uses at most %d",
				issuer.title(), key.N.BitLen(), maxRSABits)
		}
		err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
		if err != nil {
			return fmt.Errorf("the signature on %s is not by the key of %s: %w", cert.title(), issuer.title(), err)
		}
	}
	return nil
}

// policyFault lets crypto/x509 decide about certificate policies (RFC 5280
// section 6.1, RFC 9618) in the rare path where one must be valid. Without
// policyConstraints none must, for BoringSSL and Go alike.
func policyFault(found path, trust *model.Trust, now time.Time) error {
	demanding := -1
	for i, cert := range found.certs[:len(found.certs)-1] {
		if hasExtension(cert.Certificate, oidPolicyConstraints) {
			demanding = i
		}
	}
	if demanding < 0 {
		return nil
	}
	if trust.IgnoreTime {
		// crypto/x509 cannot leave times out, but at the latest beginning every
		// certificate is valid, if ever all of them are at once. If they never are,
		// this refuses what Envoy accepts, which is the safe way to be wrong.
		now = found.certs[0].NotBefore
		for _, cert := range found.certs[1:] {
			if cert.NotBefore.After(now) {
				now = cert.NotBefore
			}
		}
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	last := len(found.certs) - 1
	roots.AddCert(found.certs[last].Certificate)
	for _, cert := range found.certs[1:last] {
		intermediates.AddCert(cert.Certificate)
	}
	_, err := found.certs[0].Certificate.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("certificate %s demands certificate policies, and they do not hold: %q",
			found.certs[demanding].title(), err.Error())
	}
	return nil
}

// checkDates judges every certificate of the path, the anchor too; where no
// anchor was found, those that were presented. BoringSSL compares whole seconds
// and takes a certificate for expired in its last one (X509_cmp_time_posix).
func checkDates(found path, trust *model.Trust, now time.Time) Check {
	if trust.IgnoreTime {
		return notChecked(KindDates, "mode %s accepts every date", trust.Mode)
	}
	first := found.certs[0]
	for _, cert := range found.certs {
		switch {
		case now.Unix() < cert.NotBefore.Unix():
			return failed(KindDates, CertificateExpired, "certificate %s is not valid before %s, now is %s",
				cert.title(), stamp(cert.NotBefore), stamp(now))
		case now.Unix() >= cert.NotAfter.Unix():
			return failed(KindDates, CertificateExpired, "certificate %s expired at %s, now is %s",
				cert.title(), stamp(cert.NotAfter), stamp(now))
		case cert.NotAfter.Before(first.NotAfter):
			first = cert
		}
	}
	return passed(KindDates, "valid until %s, when %s expires", stamp(first.NotAfter), first.title())
}

// checkUsage is X509_PURPOSE_SSL_SERVER (v3_purp.cc) of what is not an anchor:
// an extended key usage, where there is one, must name serverAuth itself;
// anyExtendedKeyUsage does not count.
func checkUsage(found path) Check {
	const transport = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	if found.anchored && found.presented == 0 {
		return notChecked(KindUsage, "the certificate is itself trusted, whatever its key usage")
	}
	for i, cert := range found.certs[:found.presented] {
		if hasExtension(cert.Certificate, oidExtKeyUsage) && !cert.servesTLS() {
			return failed(KindUsage, CertificateMismatch, "the extended key usage of %s lacks serverAuth", cert.title())
		}
		if i == 0 && hasExtension(cert.Certificate, oidKeyUsage) && cert.KeyUsage&transport == 0 {
			return failed(KindUsage, CertificateMismatch, "the keyUsage of %s allows no TLS", cert.title())
		}
	}
	return passed(KindUsage, "the certificates allow a TLS server")
}
