package verify

import (
	"errors"
	"fmt"
	"strings"
)

const (
	lowerAlphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	alphanumeric      = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lowerAlphanumeric
	// maxLabel is the longest label of a domain name (RFC 1034 section 3.1).
	maxLabel = 63
)

// within is nc_match_single: BoringSSL knows directory names, DNS names, email
// addresses and URIs, and refuses what a subtree of another type binds.
func within(name, base generalName, excluding bool) error {
	switch base.kind {
	case nameDirectory:
		return orViolation(strings.HasPrefix(canonicalName(name.value), canonicalName(base.value)))
	case nameDNS:
		return orViolation(dnsWithin(lowerASCII(string(name.value)), lowerASCII(string(base.value)), excluding))
	case nameEmail:
		return emailWithin(name, base, excluding)
	case nameURI:
		return uriWithin(lowerASCII(string(name.value)), lowerASCII(string(base.value)))
	default:
		return fmt.Errorf("constraints on names of type %d are not supported", base.kind)
	}
}

func orViolation(inside bool) error {
	if !inside {
		return errViolation
	}
	return nil
}

// dnsWithin is nc_dns, of names in lower case.
func dnsWithin(name, base string, excluding bool) bool {
	if base == "" {
		return true
	}
	name, base = strings.TrimSuffix(name, "."), strings.TrimSuffix(base, ".")
	if parent, wild := strings.CutPrefix(name, "*."); wild && excluding {
		// The wildcard could stand for the excluded name.
		if _, baseParent, dotted := strings.Cut(base, "."); dotted && parent == baseParent {
			return true
		}
	}
	if strings.HasPrefix(base, ".") {
		return strings.HasSuffix(name, base)
	}
	return name == base || strings.HasSuffix(name, "."+base)
}

// emailWithin is nc_email. The local part counts without regard to case only
// where a subject's address could be excluded.
func emailWithin(name, base generalName, excluding bool) error {
	local, domain, err := mailbox(string(name.value))
	if err != nil {
		return err
	}
	if host := lowerASCII(string(base.value)); !strings.Contains(host, "@") {
		inside := domain == host || strings.HasPrefix(host, ".") && strings.HasSuffix(domain, host)
		return orViolation(inside)
	}
	baseLocal, baseDomain, err := mailbox(string(base.value))
	if err != nil {
		return err
	}
	if excluding && name.ofSubject {
		local, baseLocal = lowerASCII(local), lowerASCII(baseLocal)
	}
	return orViolation(local == baseLocal && domain == baseDomain)
}

// mailbox is the local part and the domain, in lower case, of an address.
func mailbox(address string) (string, string, error) {
	local, domain, _ := strings.Cut(address, "@")
	if local == "" || domain == "" || strings.Trim(local, alphanumeric+"!#$%&'*+-/=?^_`{|}~.") != "" ||
		strings.Trim(domain, alphanumeric+"-.") != "" {
		return "", "", errors.New("an email address that cannot be compared")
	}
	return local, lowerASCII(domain), nil
}

// uriWithin is nc_uri, of URIs in lower case: the host alone counts, and must be
// a domain name.
func uriWithin(uri, base string) error {
	host, err := uriHost(uri)
	if err != nil {
		return err
	}
	base = strings.TrimSuffix(base, ".")
	domain, suffix := strings.CutPrefix(base, ".")
	switch {
	case !isDomain(domain):
		return fmt.Errorf("the constraint %s is not a domain", quoteName(base))
	case suffix && strings.HasSuffix(host, base), !suffix && host == base:
		return nil
	default:
		return errViolation
	}
}

func uriHost(uri string) (string, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme == "" || strings.ContainsAny(scheme, ":/?#@") {
		return "", errors.New("a URI without a host cannot be compared")
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	host, port, ported := strings.Cut(rest, ":")
	host = strings.TrimSuffix(host, ".")
	if ported && strings.Trim(port, "0123456789") != "" || !isDomain(host) {
		return "", errors.New("a URI whose host is no domain cannot be compared")
	}
	return host, nil
}

// isDomain says whether text is a host name in lower case and no IP address:
// labels of letters, digits and inner hyphens, the last of which is no number.
func isDomain(text string) bool {
	last := ""
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > maxLabel || strings.Trim(label, lowerAlphanumeric+"-") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		last = label
	}
	hex, isHex := strings.CutPrefix(last, "0x")
	return strings.Trim(last, "0123456789") != "" && (!isHex || strings.Trim(hex, "0123456789abcdef") != "")
}

// looksLikeHost is x509v3_looks_like_dns_name (v3_utl.cc): what BoringSSL takes
// for a host in a common name.
func looksLikeHost(name string) bool {
	name = strings.TrimPrefix(strings.TrimSuffix(name, "."), "*.")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || strings.Trim(label, alphanumeric+"-_:") != "" {
			return false
		}
	}
	return true
}
