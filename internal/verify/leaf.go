package verify

import (
	"slices"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// checkLeaf compares the leaf with the pins: any of them may match, and only the
// leaf can (verifyCertificateHashList and verifyCertificateSpkiList).
func checkLeaf(leaf *certificate, trust *model.Trust) Check {
	if len(trust.Leaves) == 0 {
		return notChecked(KindLeaf, "no certificate or key is pinned")
	}
	key, whole := pin.OfKey(leaf.Certificate), pin.OfCertificate(leaf.Certificate)
	if matched, ok := pin.MatchAny(trust.Leaves, leaf.Certificate); ok {
		return passed(KindLeaf, "the certificate matches %s", matched)
	}
	wanted := make([]string, 0, len(trust.Leaves))
	for _, p := range trust.Leaves {
		wanted = append(wanted, p.String())
	}
	return failed(KindLeaf, leafReason(trust), "the endpoint presents %s, %s; want %s", key, whole, listSome(wanted))
}

// leafReason tells trusted leaf certificates, whose hashes stand beside them
// among the anchors, from pins.
func leafReason(trust *model.Trust) Reason {
	anchored := func(p pin.Pin) bool {
		return slices.ContainsFunc(trust.Anchors, func(der []byte) bool { return p == pin.OfDER(der) })
	}
	if slices.ContainsFunc(trust.Leaves, anchored) {
		return CertificateMismatch
	}
	return PinMismatch
}
