package verify

import (
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// Verify returns a check of each of Kinds, in that order (of KindRevocation only
// where the trust has revocation lists), for the chain that an
// endpoint presented (DER, leaf first) under the trust. It neither knows which
// TLS version the endpoint speaks nor whether it is there: Observed does. A nil
// trust, which is plaintext, accepts nothing.
func Verify(chain [][]byte, trust *model.Trust, now time.Time) []Check {
	presented, handshake := readPresented(chain, trust)
	checks := []Check{handshake}
	switch {
	case trust == nil:
		return []Check{failed(KindHandshake, CertificateMismatch, "no trust is configured: nothing can be verified")}
	case presented == nil:
		return append(checks, unchecked(trust, "there is no certificate that could be checked")...)
	case !trust.Verifies():
		return append(checks, unverified(trust)...)
	}
	checks = append(checks, pathChecks(presented, trust, now)...)
	return append(checks, checkName(presented[0], trust), checkLeaf(presented[0], trust))
}

// pathChecks are the checks of everything between the leaf and an anchor.
func pathChecks(presented []*certificate, trust *model.Trust, now time.Time) []Check {
	if len(trust.Anchors) == 0 {
		const why = "pins alone are trusted, whoever issued the certificate"
		return []Check{
			notChecked(KindChain, why),
			notChecked(KindDates, "pins alone are trusted, whatever the certificate's dates"),
			notChecked(KindUsage, why),
		}
	}
	anchors := readAnchors(trust.Anchors)
	found := findPath(presented, anchors)
	checks := []Check{
		checkChain(found, anchors, trust, now),
		checkDates(found, trust, now),
		checkUsage(found),
	}
	if len(trust.CRLs) > 0 {
		checks = append(checks, checkRevocation(found, trust, now))
	}
	return checks
}

// unverified are the checks under a trust that verifies nothing.
func unverified(trust *model.Trust) []Check {
	if trust.Mode == model.InsecureSkipVerification {
		return unchecked(trust, "mode InsecureSkipVerification accepts every certificate")
	}
	// No mode but that one may come without anchors and leaves; were it
	// published, Envoy would accept anything.
	return append([]Check{
		failed(KindChain, UntrustedIssuer, "mode %s without a trusted certificate or pin", trust.Mode),
	}, unchecked(trust, "nothing is trusted")[1:]...)
}

// unchecked is every check but the handshake as NotChecked.
func unchecked(trust *model.Trust, why string) []Check {
	var checks []Check
	for _, kind := range Kinds[1:] {
		if kind == KindRevocation && (trust == nil || len(trust.CRLs) == 0) {
			continue
		}
		checks = append(checks, notChecked(kind, "%s", why))
	}
	return checks
}
