package untrusted

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/cli-runtime/pkg/printers"
)

const (
	// Most is how many bytes a text may have at most. Nobody reads more, and a
	// server could send a megabyte of it.
	Most = 8 << 10
	// room is what the note about the rest takes of that.
	room = 64
	// marks is how many combining marks may follow one another: more of them grow
	// over the lines above and below.
	marks = 4
)

// Text is s on one line of at most Most bytes: escape sequences made visible as
// kubectl does, line breaks and tabs turned into spaces, every other control
// character, every bidirectional control and every invisible format character
// removed, and what is no character or has no shape of its own replaced.
func Text(s string) string {
	return shortened(cleaned(s))
}

// cleaned is s on one line, whatever its length. No more of it than could be
// needed is looked at.
func cleaned(s string) string {
	// One character of the result takes at most a handful of the source's bytes,
	// unless they are removed; so much of those that they fill this is cut as well.
	if cut := 16 * Most; len(s) > cut {
		s = s[:cut] + strings.Repeat(".", min(len(s)-cut, Most))
	}
	escaped := printers.EscapeTerminal(strings.ReplaceAll(s, "\r\n", "\n"))
	var clean strings.Builder
	clean.Grow(len(escaped))
	combining := 0
	for _, r := range escaped {
		if unicode.Is(unicode.M, r) {
			combining++
		} else {
			combining = 0
		}
		switch {
		case combining > marks || hidden(r):
		case unicode.IsSpace(r) || unicode.Is(unicode.Z, r):
			clean.WriteByte(' ')
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			clean.WriteRune(utf8.RuneError)
		default:
			clean.WriteRune(r)
		}
	}
	return strings.TrimSpace(clean.String())
}

// shortened cuts a text that is too long, and says so.
func shortened(s string) string {
	if len(s) <= Most {
		return s
	}
	end := Most - room
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes more)", strings.TrimRight(s[:end], " "), len(s)-end)
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
// terminal shows what follows: C0 and C1 controls that are no blanks (the
// eight-bit CSI is one), and the Unicode category Cf, which holds the
// bidirectional controls, the zero-width characters and the tags.
func hidden(r rune) bool {
	switch r {
	case '\n', '\t', '\v', '\f':
		return false
	default:
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}
}
