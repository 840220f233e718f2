package verify

import (
	"fmt"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
)

// checkName looks for one of the expected names among the leaf's subject
// alternative names. There is no fallback to the common name.
func checkName(leaf *certificate, trust *model.Trust) Check {
	if len(trust.Names) == 0 {
		return notChecked(KindName, "%s", whyNoNames(trust))
	}
	presented := leaf.altNames()
	for _, wanted := range trust.Names {
		for _, name := range presented {
			if matchesName(wanted, name) {
				return passed(KindName, "the certificate's %s covers %q", describeName(name), wanted.Value)
			}
		}
	}
	return failed(KindName, HostnameMismatch, "want %s; the certificate %s", describeWanted(trust.Names),
		describePresented(leaf, presented))
}

func whyNoNames(trust *model.Trust) string {
	if trust.Mode == model.InsecureSkipOnlySANVerification {
		return "mode InsecureSkipOnlySANVerification accepts every name"
	}
	if len(trust.Anchors) == 0 {
		return "pins alone are trusted, whatever the certificate's names"
	}
	return "no name is expected"
}

// matchesName is Envoy's StringSanMatcher (san_matcher.cc): a name of the other
// kind never matches, and a URI only byte by byte.
func matchesName(wanted model.Name, name generalName) bool {
	switch wanted.Kind {
	case model.DNS:
		return name.kind == nameDNS && matchesDNS(wanted.Value, string(name.value))
	case model.URI:
		return name.kind == nameURI && wanted.Value == string(name.value)
	default:
		return false
	}
}

// matchesDNS is Utility::dnsNameMatch (source/common/tls/utility.cc): equal but
// for case, or the certificate's name has one wildcard in its first label, which
// then stands for at most that label. A wildcard in wanted is literal.
func matchesDNS(wanted, presented string) bool {
	wanted, presented = lowerASCII(wanted), lowerASCII(presented)
	if wanted == presented {
		return true
	}
	label, parent, dotted := strings.Cut(wanted, ".")
	pattern, patternParent, patternDotted := strings.Cut(presented, ".")
	if !dotted || !patternDotted || parent != patternParent {
		return false
	}
	if strings.HasPrefix(pattern, "xn--") || strings.Contains(patternParent, "*") {
		return false
	}
	if pattern == "*" {
		return true
	}
	before, after, wild := strings.Cut(pattern, "*")
	return wild && !strings.Contains(after, "*") && len(label) >= len(before)+len(after) &&
		strings.HasPrefix(label, before) && strings.HasSuffix(label, after)
}

func describeName(name generalName) string {
	switch name.kind {
	case nameDNS:
		return "DNS name " + quoteName(string(name.value))
	case nameURI:
		return "URI " + quoteName(string(name.value))
	case nameEmail:
		return "email address " + quoteName(string(name.value))
	default:
		return fmt.Sprintf("name of type %d", name.kind)
	}
}

func describeWanted(names []model.Name) string {
	wanted := make([]string, 0, len(names))
	for _, name := range names {
		text := fmt.Sprintf("%s %q", name.Kind, name.Value)
		if name.Kind == model.DNS && strings.HasPrefix(name.Value, "*") {
			text += " (that very wildcard)"
		}
		wanted = append(wanted, text)
	}
	return listSome(wanted)
}

func describePresented(leaf *certificate, names []generalName) string {
	if len(names) == 0 {
		return fmt.Sprintf("has no subject alternative names (its common name %s does not count)",
			quoteName(leaf.Subject.CommonName))
	}
	described := make([]string, 0, maxListed)
	for _, name := range names[:min(len(names), maxListed)] {
		described = append(described, describeName(name))
	}
	return "has " + listAtMost(described, len(names))
}
