package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// maxComparisons bounds names times constraints over a whole path. BoringSSL
// has the same number for each pair of certificates (NAME_CONSTRAINTS_check).
const maxComparisons = 1 << 20

// constraints is a nameConstraints extension (RFC 5280 section 4.2.1.10).
type constraints struct {
	permitted, excluded []generalName
}

// errViolation says that a name is not within a subtree; every other error says
// that it cannot be told, which refuses the certificate.
var errViolation = errors.New("the name is outside")

// constraintFault is check_name_constraints: the constraints of every
// certificate, the anchor's too, bind all below it that are not self-issued
// intermediates.
func constraintFault(found path) error {
	budget := maxComparisons
	for j, authority := range found.certs {
		if j == 0 || !hasExtension(authority.Certificate, oidNameConstraints) {
			continue
		}
		bounds, err := readConstraints(extension(authority.Certificate, oidNameConstraints))
		if err != nil {
			return fmt.Errorf("the name constraints of %s: %w", authority.title(), err)
		}
		leaf := found.certs[0]
		if leaf.altNames() == nil && slices.ContainsFunc(subjectValues(leaf.Certificate, oidCommonName),
			looksLikeHost) {
			return fmt.Errorf("%s has name constraints, and %s has no subject alternative names but a common name "+
				"like a host's", authority.title(), leaf.title())
		}
		for i, cert := range found.certs[:j] {
			if i > 0 && cert.selfIssued {
				continue
			}
			if err := bounds.judge(cert, &budget); err != nil {
				return fmt.Errorf("the name constraints of %s refuse %s: %w", authority.title(), cert.title(), err)
			}
		}
	}
	return nil
}

func readConstraints(der []byte) (constraints, error) {
	var fields struct {
		Permitted asn1.RawValue `asn1:"optional,tag:0"`
		Excluded  asn1.RawValue `asn1:"optional,tag:1"`
	}
	if rest, err := asn1.Unmarshal(der, &fields); err != nil || len(rest) > 0 {
		return constraints{}, errors.New("malformed")
	}
	permitted, err := readSubtrees(fields.Permitted.Bytes)
	if err != nil {
		return constraints{}, err
	}
	excluded, err := readSubtrees(fields.Excluded.Bytes)
	return constraints{permitted: permitted, excluded: excluded}, err
}

// readSubtrees reads GeneralSubtrees. RFC 5280 allows neither minimum nor
// maximum, and BoringSSL refuses them.
func readSubtrees(content []byte) ([]generalName, error) {
	var bases []generalName
	for len(content) > 0 {
		var subtree asn1.RawValue
		rest, err := asn1.Unmarshal(content, &subtree)
		if err != nil {
			return nil, errNames
		}
		base, err := readGeneralNames(subtree.Bytes)
		if err != nil {
			return nil, err
		}
		if len(base) != 1 {
			return nil, errors.New("a subtree with a minimum or maximum is not supported")
		}
		bases = append(bases, base[0])
		content = rest
	}
	return bases, nil
}

// judge compares every name of the certificate: its subject as a directory
// name, email addresses in it, and the subject alternative names.
func (c constraints) judge(cert *certificate, budget *int) error {
	names := cert.altNames()
	*budget -= (len(cert.Subject.Names) + len(names)) * (len(c.permitted) + len(c.excluded))
	if *budget < 0 {
		return errors.New("too many names and constraints to compare")
	}
	if len(cert.Subject.Names) > 0 {
		names = append(names, generalName{kind: nameDirectory, value: cert.RawSubject})
	}
	for _, address := range subjectValues(cert.Certificate, oidEmailAddress) {
		names = append(names, generalName{kind: nameEmail, value: []byte(address), ofSubject: true})
	}
	for _, name := range names {
		if err := c.admit(name); err != nil {
			return fmt.Errorf("%s: %w", describeName(name), err)
		}
	}
	return nil
}

// admit is nc_match: within one permitted subtree of the name's type if there
// is any, and within no excluded one.
func (c constraints) admit(name generalName) error {
	constrained, admitted := false, false
	for _, base := range c.permitted {
		if base.kind != name.kind || admitted {
			continue
		}
		constrained = true
		err := within(name, base, false)
		if err != nil && !errors.Is(err, errViolation) {
			return err
		}
		admitted = err == nil
	}
	if constrained && !admitted {
		return fmt.Errorf("%w every permitted subtree", errViolation)
	}
	for _, base := range c.excluded {
		if base.kind != name.kind {
			continue
		}
		switch err := within(name, base, true); {
		case err == nil:
			return errors.New("the name is inside an excluded subtree")
		case !errors.Is(err, errViolation):
			return err
		}
	}
	return nil
}

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// subjectValues are the texts of one attribute of the subject.
func subjectValues(cert *x509.Certificate, attr asn1.ObjectIdentifier) []string {
	var values []string
	for _, name := range cert.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(attr) {
			values = append(values, text)
		}
	}
	return values
}
