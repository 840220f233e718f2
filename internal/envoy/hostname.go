package envoy

import (
	"net/netip"
	"strings"
)

// maxHostname is the length of a DNS name (RFC 1035 section 2.3.4).
const maxHostname = 253

// preciseHostname says whether a name is a DNS name in lower case: neither
// empty nor an IP address, no wildcard, no dot at its end.
func preciseHostname(name string) bool {
	if name == "" || len(name) > maxHostname {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !dnsLabel(label) {
			return false
		}
	}
	return true
}

// dnsLabel is the rule of the Gateway API for each label of a Hostname.
func dnsLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, r := range label {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// listenerHostname says whether a hostname may stand in a listener or route:
// empty, a DNS name, or one behind "*.".
func listenerHostname(name string) bool {
	return name == "" || preciseHostname(strings.TrimPrefix(name, "*."))
}

// covers says whether every host of inner is a host of outer. A wildcard
// stands for one or more labels (Gateway API, Hostname).
func covers(outer, inner string) bool {
	if outer == "" || outer == inner {
		return true
	}
	suffix, wildcard := strings.CutPrefix(outer, "*")
	return wildcard && len(inner) > len(suffix) && strings.HasSuffix(inner, suffix)
}
