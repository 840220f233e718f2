package verify

import (
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The kinds of GeneralName, by their context-specific tag (RFC 5280 section
// 4.2.1.6).
const (
	nameEmail     = 1
	nameDNS       = 2
	nameDirectory = 4
	nameURI       = 6
)

// generalName is a name of a certificate, its value as it is on the wire. A
// directory name's value is the DER of a Name.
type generalName struct {
	kind  int
	value []byte
	// ofSubject marks an address that stands in the subject.
	ofSubject bool
}

var errNames = errors.New("not a list of GeneralNames")

// readGeneralNames reads the content of a SEQUENCE OF GeneralName.
func readGeneralNames(content []byte) ([]generalName, error) {
	var names []generalName
	for len(content) > 0 {
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(content, &raw)
		if err != nil || raw.Class != asn1.ClassContextSpecific {
			return nil, errNames
		}
		names = append(names, generalName{kind: raw.Tag, value: raw.Bytes})
		content = rest
	}
	return names, nil
}

// altNames are the subject alternative names, nil if there are none.
func (c *certificate) altNames() []generalName {
	var list asn1.RawValue
	if _, err := asn1.Unmarshal(extension(c.Certificate, oidSubjectAltName), &list); err != nil {
		return nil
	}
	names, err := readGeneralNames(list.Bytes)
	if err != nil {
		return nil
	}
	return names
}

// attribute is one AttributeTypeAndValue of a directory name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// relativeName is one RelativeDistinguishedName; asn1 knows a SET by the suffix.
type relativeNameSET []attribute

// canonicalName is the form in which BoringSSL compares a Name (x_name.cc):
// text as UTF-8, ASCII in lower case, white space trimmed and collapsed. A name
// that does not parse stands for itself alone. A prefix of relative names has a
// prefix of the canonical form, which name constraints need.
func canonicalName(der []byte) string {
	var relative []relativeNameSET
	if rest, err := asn1.Unmarshal(der, &relative); err != nil || len(rest) > 0 {
		return "unparsable:" + string(der)
	}
	var out strings.Builder
	for _, set := range relative {
		parts := make([]string, 0, len(set))
		for _, attr := range set {
			parts = append(parts, canonicalAttribute(attr))
		}
		slices.Sort(parts) // A SET has no order.
		writeCounted(&out, strings.Join(parts, ""))
	}
	return out.String()
}

func canonicalAttribute(attr attribute) string {
	var out strings.Builder
	writeCounted(&out, attr.Type.String())
	if text, ok := attributeText(attr.Value); ok {
		writeCounted(&out, canonicalText(text))
	} else {
		writeCounted(&out, string(attr.Value.FullBytes))
	}
	return out.String()
}

// writeCounted writes the length first, so that no two lists of strings read
// alike.
func writeCounted(out *strings.Builder, text string) {
	out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
	out.WriteString(text)
}

const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// attributeText decodes the string types that BoringSSL canonicalizes.
func attributeText(value asn1.RawValue) (string, bool) {
	if value.Class != asn1.ClassUniversal {
		return "", false
	}
	switch value.Tag {
	case asn1.TagUTF8String:
		return string(value.Bytes), utf8.Valid(value.Bytes)
	case asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, tagVisibleString:
		return decodeRunes(value.Bytes, 1, func(b []byte) rune { return rune(b[0]) })
	case asn1.TagBMPString:
		return decodeRunes(value.Bytes, 2, func(b []byte) rune { return rune(binary.BigEndian.Uint16(b)) })
	case tagUniversalString:
		return decodeRunes(value.Bytes, 4, func(b []byte) rune { return rune(binary.BigEndian.Uint32(b)) })
	default:
		return "", false
	}
}

// decodeRunes decodes characters of a fixed width.
func decodeRunes(encoded []byte, width int, decode func([]byte) rune) (string, bool) {
	if len(encoded)%width != 0 {
		return "", false
	}
	var out strings.Builder
	for chunk := range slices.Chunk(encoded, width) {
		r := decode(chunk)
		if !utf8.ValidRune(r) || utf16.IsSurrogate(r) {
			return "", false
		}
		out.WriteRune(r)
	}
	return out.String(), true
}

// canonicalText lowers ASCII letters and collapses ASCII white space.
func canonicalText(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
	return lowerASCII(strings.Join(words, " "))
}

// lowerASCII leaves every byte beyond ASCII alone, as BoringSSL and Envoy do.
func lowerASCII(text string) string {
	lowered := []byte(text)
	for i, b := range lowered {
		if b >= 'A' && b <= 'Z' {
			lowered[i] = b + 'a' - 'A'
		}
	}
	return string(lowered)
}
