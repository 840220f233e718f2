package verify

import (
	"bytes"
	"crypto/x509"
	"slices"
)

// maxPath is the most certificates in a path: BoringSSL's default depth of 100
// (x509_vpm.cc) between the leaf and the anchor.
const maxPath = 102

// maxInOrder is up to how many anchors BoringSSL's store keeps those of one
// subject in the order they were added: its std::sort is an insertion sort until
// there are 24 (measured with Envoy 1.40.0).
const maxInOrder = 23

// path is what BoringSSL builds before it judges: certificates from the leaf
// upward, each named as the issuer of the one before.
type path struct {
	certs []*certificate
	// presented counts the certificates below the first anchor. Usage is
	// checked of them alone.
	presented int
	// anchored says that an anchor ends the path, or is its leaf.
	anchored bool
	// shadow is set where the leaf itself is an anchor, but BoringSSL takes, or
	// with many anchors may take, another one of the same subject for its issuer.
	shadow *certificate
}

// findPath follows X509_verify_cert (x509_vfy.cc): from the leaf to the first
// anchor that could have issued the certificate, else the first presented one
// that could, until there is none. It never goes back to try another issuer.
func findPath(presented, anchors []*certificate) path {
	certs, root := climb(presented, anchors)
	found := path{certs: certs, presented: len(certs)}
	last := certs[len(certs)-1]
	if root != nil && len(certs) == 1 && root == last {
		return findSelfSigned(found, anchors)
	}
	for len(found.certs) < maxPath && !last.selfSigned {
		issuer := issuerOf(last, anchors)
		if issuer == nil {
			break
		}
		found.certs = append(found.certs, issuer)
		last = issuer
	}
	if len(found.certs) > found.presented {
		found.anchored = true
		return found
	}
	if holds(anchors, presented[0]) {
		// A trusted leaf needs no issuer. What was presented above it stays in
		// the path, and its dates and signatures are checked.
		found.presented, found.anchored = 0, true
	} else if root != nil && root.signsFor(last) {
		found.certs = append(found.certs, root)
		found.presented++
	}
	return found
}

// climb is the part of a path that was presented, and the self-signed
// certificate that ends it, if any. That one is part of the path only if it is
// the leaf: an anchor takes the place of any other.
func climb(presented, anchors []*certificate) ([]*certificate, *certificate) {
	left := slices.Clone(presented)
	certs := []*certificate{presented[0]}
	for {
		last := certs[len(certs)-1]
		switch {
		case last.selfSigned && len(certs) == 1:
			return certs, last
		case last.selfSigned:
			return certs[:len(certs)-1], last
		case len(certs) >= maxPath, issuerOf(last, anchors) != nil:
			return certs, nil
		}
		i := slices.IndexFunc(left, func(c *certificate) bool { return c.signsFor(last) })
		if i < 0 {
			return certs, nil
		}
		certs = append(certs, left[i])
		left = slices.Delete(left, i, i+1)
	}
}

// findSelfSigned decides about a self-signed leaf: it must be the very anchor
// that the store yields as its issuer.
func findSelfSigned(found path, anchors []*certificate) path {
	leaf := found.certs[0]
	if !holds(anchors, leaf) {
		return found
	}
	found.shadow = shadowOf(leaf, anchors)
	if found.shadow == nil {
		found.presented, found.anchored = 0, true
	}
	return found
}

// shadowOf is an anchor that BoringSSL may take for the issuer of a self-signed
// anchor in its own place, nil if there is none.
func shadowOf(leaf *certificate, anchors []*certificate) *certificate {
	for _, anchor := range anchors {
		own := bytes.Equal(anchor.Raw, leaf.Raw)
		switch {
		case own && len(anchors) <= maxInOrder:
			return nil
		case !own && anchor.signsFor(leaf):
			return anchor
		}
	}
	return nil
}

// Shadowed lists those of the trusted certificates (DER) that Envoy refuses as
// leaves although they are trusted: self-signed ones that may issue, such as a
// CA:TRUE certificate and its renewal, of which another one has the same subject
// and no key identifier that tells them apart. BoringSSL takes the first for the
// issuer of each, and then demands that the leaf be it (X509_verify_cert). Such
// certificates can be pinned but not trusted together.
func Shadowed(trusted [][]byte) [][]byte {
	anchors := readAnchors(trusted)
	var shadowed [][]byte
	for _, anchor := range anchors {
		if anchor.selfSigned && shadowOf(anchor, anchors) != nil {
			shadowed = append(shadowed, anchor.Raw)
		}
	}
	return shadowed
}

// issuerOf is the first anchor that could have issued the certificate.
func issuerOf(cert *certificate, anchors []*certificate) *certificate {
	i := slices.IndexFunc(anchors, func(a *certificate) bool { return a.signsFor(cert) })
	if i < 0 {
		return nil
	}
	return anchors[i]
}

func holds(anchors []*certificate, cert *certificate) bool {
	return slices.ContainsFunc(anchors, func(a *certificate) bool { return bytes.Equal(a.Raw, cert.Raw) })
}

// readAnchors parses the trusted certificates, without those that do not parse:
// they anchor nothing.
func readAnchors(der [][]byte) []*certificate {
	anchors := make([]*certificate, 0, len(der))
	for _, raw := range der {
		if cert, err := x509.ParseCertificate(raw); err == nil {
			anchors = append(anchors, readCertificate(cert))
		}
	}
	return anchors
}
