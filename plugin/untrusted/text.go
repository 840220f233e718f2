package untrusted

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/cli-runtime/pkg/printers"
)

// Text is s on one line: escape sequences made visible as kubectl does, line
// breaks and tabs turned into spaces, every other control character, every
// bidirectional control and every invisible format character removed, and
// invalid UTF-8 replaced.
func Text(s string) string {
	escaped := printers.EscapeTerminal(strings.ReplaceAll(s, "\r\n", "\n"))
	var clean strings.Builder
	clean.Grow(len(escaped))
	for _, r := range escaped {
		switch {
		case r == '\n' || r == '\t' || r == '\v' || r == '\f' || r == '\u2028' || r == '\u2029':
			clean.WriteByte(' ')
		case r == utf8.RuneError:
			clean.WriteRune(utf8.RuneError)
		case hidden(r):
		default:
			clean.WriteRune(r)
		}
	}
	return strings.TrimSpace(clean.String())
}

// Lines is s with its line breaks kept and each line cleaned as Text does,
// leading blanks included: indentation is the only layout that is ours.
func Lines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		lines[i] = strings.TrimRight(line[:indent]+Text(line[indent:]), " ")
	}
	return strings.Join(lines, "\n")
}

// Texts cleans every element, in a copy; nil stays nil.
func Texts(list []string) []string {
	if list == nil {
		return nil
	}
	clean := make([]string, len(list))
	for i, s := range list {
		clean[i] = Text(s)
	}
	return clean
}

// hidden says whether a character draws nothing itself but changes how a
// terminal shows what follows: C0 and C1 controls (the eight-bit CSI is one),
// and the Unicode category Cf, which holds the bidirectional controls, the
// zero-width characters and the tags.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}
