package pin

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Forms names every text form that Parse reads.
const Forms = "spki-sha256:BASE64, cert-sha256:HEX, sha256//BASE64 (curl) or AA:BB:... (openssl)"

// The prefixes of the text forms.
const (
	spkiPrefix = "spki-sha256:"
	certPrefix = "cert-sha256:"
	// curlPrefix is that of curl's --pinnedpubkey: a hash of the public key.
	curlPrefix = "sha256//"
)

// maxQuoted bounds how much of a faulty item an error repeats.
const maxQuoted = 120

// Parse reads one pin: the canonical forms spki-sha256:BASE64 and
// cert-sha256:HEX (either case, with or without colons between the bytes),
// curl's sha256//BASE64, which is of the public key, and openssl's fingerprint
// AA:BB:..., which is of the certificate. Hex digits alone are refused because
// they do not say what was hashed. An error names the item, the fault and, if
// the form is unknown, the forms.
func Parse(text string) (Pin, error) {
	kind, sum, err := decode(text)
	if err == nil && len(sum) != sha256.Size {
		err = fmt.Errorf("%d bytes, a SHA-256 has %d", len(sum), sha256.Size)
	}
	if err != nil {
		return Pin{}, fmt.Errorf("pin %s: %w", quote(text), err)
	}
	return Pin{Kind: kind, Sum: [sha256.Size]byte(sum)}, nil
}

func decode(text string) (Kind, []byte, error) {
	if encoded, ok := strings.CutPrefix(text, spkiPrefix); ok {
		sum, err := decodeBase64(encoded)
		return SPKI, sum, err
	}
	if encoded, ok := strings.CutPrefix(text, curlPrefix); ok {
		sum, err := decodeBase64(encoded)
		return SPKI, sum, err
	}
	if encoded, ok := strings.CutPrefix(text, certPrefix); ok {
		sum, err := decodeHex(encoded)
		return Certificate, sum, err
	}
	if looksLikeFingerprint(text) {
		sum, err := decodeHex(text)
		return Certificate, sum, err
	}
	if sum, err := hex.DecodeString(text); err == nil && len(sum) == sha256.Size {
		return 0, nil,
			fmt.Errorf("hex digits alone do not say what was hashed: write %s%s for the SHA-256 of a certificate",
				certPrefix, text)
	}
	return 0, nil, fmt.Errorf("unknown form, want %s", Forms)
}

// decodeBase64 is strict: standard alphabet, padded, no line breaks, no stray
// bits, so that a pin has one spelling and nothing is guessed.
func decodeBase64(encoded string) ([]byte, error) {
	if strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("not base64: line break inside")
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err == nil {
		return sum, nil
	}
	if strings.ContainsAny(encoded, "-_") {
		return nil, errors.New("not standard base64: URL-safe characters, write + for - and / for _")
	}
	if unpadded, rawErr := base64.RawStdEncoding.Strict().DecodeString(encoded); rawErr == nil {
		return nil, fmt.Errorf("not padded base64 (%d bytes): want 44 characters that end in =", len(unpadded))
	}
	return nil, fmt.Errorf("not base64: %w", err)
}

// decodeHex reads hex digits of either case, plain or with a colon between
// every two bytes.
func decodeHex(encoded string) ([]byte, error) {
	if !strings.Contains(encoded, ":") {
		sum, err := hex.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("not hex: %w", err)
		}
		return sum, nil
	}
	var sum []byte
	for octet := range strings.SplitSeq(encoded, ":") {
		if len(octet) != 2 {
			return nil, fmt.Errorf("not hex with colons: byte %d is not two digits", len(sum)+1)
		}
		value, err := hex.DecodeString(octet)
		if err != nil {
			return nil, fmt.Errorf("not hex with colons: %w", err)
		}
		sum = append(sum, value...)
	}
	return sum, nil
}

// looksLikeFingerprint says whether text starts as openssl's AA:BB:... does,
// so that a wrong one is told what is wrong with it.
func looksLikeFingerprint(text string) bool {
	first, _, found := strings.Cut(text, ":")
	if !found || len(first) != 2 {
		return false
	}
	_, err := hex.DecodeString(first)
	return err == nil
}

// ParseList reads pins separated by white space or commas, sorted and without
// duplicates. A list without a pin is an error: where pins are asked for, none
// would trust nothing or everything.
func ParseList(text string) ([]Pin, error) {
	items := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(items) == 0 {
		return nil, fmt.Errorf("no pin in the list, want one or more of %s", Forms)
	}
	pins := make([]Pin, 0, len(items))
	for _, item := range items {
		parsed, err := Parse(item)
		if err != nil {
			return nil, err
		}
		pins = append(pins, parsed)
	}
	slices.SortFunc(pins, Compare)
	return slices.Compact(pins), nil
}

// Compare orders pins: SPKI before Certificate, then by sum.
func Compare(a, b Pin) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Sum[:], b.Sum[:]))
}

func quote(text string) string {
	if len(text) > maxQuoted {
		return fmt.Sprintf("%q...", text[:maxQuoted])
	}
	return fmt.Sprintf("%q", text)
}
