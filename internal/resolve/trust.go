package resolve

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// trustMaterial is what a policy trusts, every reference read.
type trustMaterial struct {
	policy gwapi.Key
	sni    string
	names  []model.Name
	// withCA says that the chain to a CA is checked; false under pins-only and
	// PinnedOnly.
	withCA bool
	// system says that the CA is the system roots, which anybody can have a
	// certificate of.
	system bool
	// authorities are the CA's certificates.
	authorities []*x509.Certificate
	// anchors are the authorities where they are just one bundle, which other
	// policies may refer to as well.
	anchors anchorSet
	pins    []pin.Pin
	// withTrusted says that trusted-certificates are asked for.
	withTrusted bool
	trusted     []*x509.Certificate
	// withCRLs says that revocation is to be checked, by lists; of every
	// certificate where revokeChain says so.
	withCRLs    bool
	lists       listSet
	revokeChain bool
	offer       tlsOffer
}

// errNoTrust is the fault of material that would trust nothing or anything.
var errNoTrust = errors.New("nothing to verify a certificate with")

// mostTrusted is the most that the certificates, and mostLists that the revocation
// lists, of one policy may have together, as DER and in bytes. For certificates it
// is what one bundle can hold. Each backend's cluster carries them: the memory of
// the operator and of Envoy is that of all tenants.
const (
	mostTrusted = maxBundle / 4 * 3
	mostLists   = 2 << 20
)

// oversize says why there is too much to carry, nil if there is not.
func (m trustMaterial) oversize() error {
	certificates, lists := 0, 0
	for _, raw := range rawCertificates(slices.Concat(m.authorities, m.trusted)) {
		certificates += len(raw)
	}
	for _, raw := range m.lists.raw {
		lists += len(raw)
	}
	switch {
	case certificates > mostTrusted:
		return fmt.Errorf("spec: the certificates of caCertificateRefs and %s%s have %d bytes together (as DER), at most %d "+
			"are taken for one policy; remove those that are not needed", gwapi.Prefix, optionTrusted, certificates, mostTrusted)
	case lists > mostLists:
		return fmt.Errorf("spec.options[%q]: the revocation lists have %d bytes together (as DER), at most %d are taken for "+
			"one policy", gwapi.Prefix+optionCRL, lists, mostLists)
	default:
		return nil
	}
}

// written is the policy without its mode: the column Standard of the mode x
// trust table. Every result has Anchors or Leaves, and Names only with Anchors.
func (m trustMaterial) written() (*model.Trust, error) {
	if err := m.oversize(); err != nil {
		return nil, err
	}
	trust := &model.Trust{Policy: m.policy, Mode: model.Standard, SNI: m.sni}
	m.offer.into(trust)
	if m.withTrusted {
		leaves, err := m.trustedLeaves()
		if err != nil {
			return nil, err
		}
		// The hash makes an anchor exact: a trusted certificate that is also a
		// CA would else vouch for whatever it issues.
		trust.Leaves = certificatePins(leaves)
		newAnchorSet(leaves).into(trust)
	} else {
		trust.Leaves = m.pins
	}
	if m.withCA {
		m.authoritySet().into(trust)
	}
	if len(trust.Anchors) > 0 {
		trust.Names = m.names
	}
	if m.withCRLs {
		trust.CRLs, trust.CRLsDigest, trust.RevokeChain = m.lists.raw, m.lists.digest, m.revokeChain
	}
	// Each part that is asked for must be there: a CA without certificates, or
	// trusted certificates none of which could be read, is not less to check.
	if !trust.Verifies() || m.withCA && len(m.authorities) == 0 || m.withTrusted && len(trust.Leaves) == 0 ||
		m.withCRLs && (len(trust.CRLs) == 0 || !m.withCA) {
		return nil, errNoTrust
	}
	return trust, nil
}

// trustedLeaves are the trusted certificates, of those that match a pin where
// there are pins.
func (m trustMaterial) trustedLeaves() ([]*x509.Certificate, error) {
	if len(m.pins) == 0 {
		return m.trusted, nil
	}
	var matching []*x509.Certificate
	for _, leaf := range m.trusted {
		if slices.ContainsFunc(m.pins, func(p pin.Pin) bool { return p.Matches(leaf) }) {
			matching = append(matching, leaf)
		}
	}
	if len(matching) == 0 {
		return nil, fmt.Errorf("spec.options: none of %s%s matches one of %s%s, so no certificate could be accepted",
			gwapi.Prefix, optionTrusted, gwapi.Prefix, optionPins)
	}
	return matching, nil
}

// weakened is the written trust under an insecure mode: the other columns of
// the mode x trust table. Where Envoy could not enforce what is left, or
// nothing would be left that tells this backend from any other, the cell is
// Invalid.
func (m trustMaterial) weakened(written *model.Trust, mode model.Mode) (*model.Trust, error) {
	trust := *written
	trust.Mode = mode
	key := gwapi.Prefix + optionMode
	switch mode {
	case model.Standard:
		return written, nil
	case model.InsecureSkipVerification:
		trust.Anchors, trust.AnchorsDigest, trust.Names, trust.Leaves = nil, "", nil, nil
		trust.CRLs, trust.CRLsDigest, trust.RevokeChain = nil, "", false
		return &trust, nil
	case model.InsecureAllowExpired, model.InsecureSkipOnlySANVerification:
		if len(trust.Anchors) == 0 {
			return nil, fmt.Errorf("spec.options[%q]: %s has no meaning with pins alone, which check neither dates "+
				"nor names; allowed here are %s and %s", key, mode, model.Standard, model.InsecureSkipVerification)
		}
	default:
		return nil, fmt.Errorf("spec.options[%q]: %q is not a mode", key, string(mode))
	}
	if mode == model.InsecureAllowExpired {
		trust.IgnoreTime = true
		return &trust, nil
	}
	if m.withCA && m.system && len(trust.Leaves) == 0 {
		return nil, fmt.Errorf("spec.options[%q]: %s with wellKnownCACertificates System would accept any certificate "+
			"that any public CA issued to anybody; add %s%s, or name the CA in caCertificateRefs",
			key, mode, gwapi.Prefix, optionPins)
	}
	trust.Names = nil
	return &trust, nil
}

// addAuthorities adds the certificates of a bundle to the CA.
func (m *trustMaterial) addAuthorities(found bundle) {
	switch {
	case len(found.certificates) == 0:
		return
	case len(m.authorities) == 0:
		m.anchors = found.anchors
	default:
		m.anchors = anchorSet{}
	}
	m.authorities = slices.Concat(m.authorities, found.certificates)
}

// authoritySet is the CA as anchors.
func (m *trustMaterial) authoritySet() anchorSet {
	if m.anchors.digest != "" {
		return m.anchors
	}
	return newAnchorSet(m.authorities)
}

// anchorSet is certificates in the form of a Trust. It is made once for each
// bundle, and shared by every Trust that has it.
type anchorSet struct {
	raw    [][]byte
	digest string
}

func newAnchorSet(certificates []*x509.Certificate) anchorSet {
	raw := rawCertificates(certificates)
	return anchorSet{raw: raw, digest: model.DigestAnchors(raw)}
}

func (s anchorSet) into(trust *model.Trust) { trust.Anchors, trust.AnchorsDigest = s.raw, s.digest }

// rawCertificates are the DER forms, sorted and without repetition.
func rawCertificates(certificates []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(certificates))
	for i, certificate := range certificates {
		raw[i] = certificate.Raw
	}
	slices.SortFunc(raw, bytes.Compare)
	return slices.CompactFunc(raw, bytes.Equal)
}

func certificatePins(certificates []*x509.Certificate) []pin.Pin {
	pins := make([]pin.Pin, len(certificates))
	for i, certificate := range certificates {
		pins[i] = pin.OfCertificate(certificate)
	}
	slices.SortFunc(pins, pin.Compare)
	return slices.Compact(pins)
}

func compareNames(a, b model.Name) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Value, b.Value))
}
