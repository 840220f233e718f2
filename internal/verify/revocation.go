package verify

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// revocationList is a CRL with its issuer's canonical name.
type revocationList struct {
	*x509.RevocationList
	issuer string
}

// checkRevocation follows check_revocation (x509_vfy.cc): for the leaf, or for
// every certificate of the path, the anchor included, the best list of its
// issuer is looked up. That must be valid now, be signed by the issuer's key, and
// not name the certificate. Lists with an issuingDistributionPoint or with
// critical extensions are not modelled: no trust has any.
func checkRevocation(found path, trust *model.Trust, now time.Time) Check {
	if !found.anchored {
		return notChecked(KindRevocation, "the chain leads to no trusted certificate")
	}
	lists := readLists(trust.CRLs)
	asked := found.certs[:1]
	if trust.RevokeChain {
		asked = found.certs
	}
	for i, cert := range asked {
		if check := revocationOf(cert, found.certs[min(i+1, len(found.certs)-1):], lists, trust, now); check != nil {
			return *check
		}
	}
	if len(asked) == 1 {
		return passed(KindRevocation, "certificate %s is not revoked", asked[0].title())
	}
	return passed(KindRevocation, "none of the %d certificates is revoked", len(asked))
}

// revocationOf is the fault of one certificate, nil for none. Above are its
// issuer and those above that; of the topmost one it is the certificate itself.
func revocationOf(
	cert *certificate, above []*certificate, lists []revocationList, trust *model.Trust, now time.Time,
) *Check {
	var best *revocationList
	var signer *certificate
	for i := range lists {
		issuer := lists[i].issuerAmong(cert, above)
		if issuer == nil {
			continue
		}
		if best == nil || lists[i].better(best, trust, now) {
			best, signer = &lists[i], issuer
		}
	}
	title := above[0].title()
	switch {
	case best == nil:
		return new(failed(KindRevocation, RevocationUnknown, "there is no revocation list of %s, which issued %s",
			quoteName(cert.Issuer.String()), cert.title()))
	case hasExtension(signer.Certificate, oidKeyUsage) && signer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return new(failed(KindRevocation, RevocationUnknown, "the keyUsage of %s does not allow it to sign revocation lists",
			title))
	case !trust.IgnoreTime && now.Unix() < best.ThisUpdate.Unix():
		return new(failed(KindRevocation, CRLExpired, "the revocation list of %s is not valid before %s, now is %s",
			title, stamp(best.ThisUpdate), stamp(now)))
	case !trust.IgnoreTime && !best.validAt(now):
		return new(failed(KindRevocation, CRLExpired, "the revocation list of %s expired at %s, now is %s",
			title, stamp(best.NextUpdate), stamp(now)))
	}
	if err := signer.CheckSignature(best.SignatureAlgorithm, best.RawTBSRevocationList, best.Signature); err != nil {
		return new(failed(KindRevocation, RevocationUnknown, "the revocation list of %s is not signed by its key: %v",
			title, err))
	}
	for _, entry := range best.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 {
			return new(failed(KindRevocation, CertificateRevoked, "certificate %s (serial %s) was revoked at %s by %s",
				cert.title(), cert.SerialNumber, stamp(entry.RevocationTime), title))
		}
	}
	return nil
}

// issuerAmong is who must have signed the list for it to speak of a certificate,
// nil if it does not (get_crl_score and crl_akid_check).
func (l *revocationList) issuerAmong(cert *certificate, above []*certificate) *certificate {
	if l.issuer != cert.issuer {
		return nil
	}
	for i, candidate := range above {
		if i > 0 && candidate.subject != l.issuer {
			continue
		}
		if len(l.AuthorityKeyId) == 0 || len(candidate.SubjectKeyId) == 0 ||
			bytes.Equal(l.AuthorityKeyId, candidate.SubjectKeyId) {
			return candidate
		}
	}
	return nil
}

// better says whether the list counts rather than another one: one that is
// valid, else the newer one (get_crl_sk).
func (l *revocationList) better(other *revocationList, trust *model.Trust, now time.Time) bool {
	valid := trust.IgnoreTime || l.validAt(now)
	if valid != (trust.IgnoreTime || other.validAt(now)) {
		return valid
	}
	return l.ThisUpdate.After(other.ThisUpdate)
}

// validAt compares as Envoy compares the dates of certificates.
func (l *revocationList) validAt(now time.Time) bool {
	return now.Unix() >= l.ThisUpdate.Unix() && (l.NextUpdate.IsZero() || now.Unix() < l.NextUpdate.Unix())
}

// readLists parses the lists, without those that do not parse.
func readLists(der [][]byte) []revocationList {
	lists := make([]revocationList, 0, len(der))
	for _, raw := range der {
		if list, err := x509.ParseRevocationList(raw); err == nil {
			lists = append(lists, revocationList{RevocationList: list, issuer: canonicalName(list.RawIssuer)})
		}
	}
	return lists
}
