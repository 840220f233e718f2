package untrusted_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/backendtls/backendtls/plugin/untrusted"
)

func TestText(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain text stays as it is", "api.example.com", "api.example.com"},
		{"an escape sequence becomes visible", "a\x1b[31mred", "a^[[31mred"},
		{"a carriage return cannot overwrite the line", "bad\rgood", `bad\rgood`},
		{"line breaks become spaces", "one\ntwo\r\nthree\u2028four", "one two three four"},
		{"an eight-bit control sequence introducer is removed", "a\u009b31mb", "a31mb"},
		{"bell, backspace and delete are removed", "a\x07\x08\x7fb", "ab"},
		{"a right-to-left override is removed", "a\u202egnp.exe", "agnp.exe"},
		{"isolates and marks are removed", "\u2066a\u2069\u200f\u200e\u061cb", "ab"},
		{"zero-width characters are removed", "ap\u200bi\ufeff", "api"},
		{"tag characters are removed", "a\U000e0041b", "ab"},
		{"invalid UTF-8 is replaced", "a\xffb", "a\ufffdb"},
		{"other scripts stay", "bücher.example 例え", "bücher.example 例え"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := untrusted.Text(test.in); got != test.want {
				t.Errorf("Text(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestLinesKeepBreaksAndIndentation(t *testing.T) {
	got := untrusted.Lines("spec:\r\n  a: \x1b[1mb\n    c\t\n")
	if want := "spec:\n  a: ^[[1mb\n    c\n"; got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}

func TestTextsLeavesTheListAlone(t *testing.T) {
	in := []string{"a\x07"}
	if got := untrusted.Texts(in); got[0] != "a" || in[0] != "a\x07" {
		t.Errorf("Texts = %q from %q", got, in)
	}
	if untrusted.Texts(nil) != nil {
		t.Error("Texts(nil) is not nil")
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b]0;title\x07\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := untrusted.Text(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Text(%q) = %q is no UTF-8", s, got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
		}); i >= 0 {
			t.Fatalf("Text(%q) = %q has a control at %d", s, got, i)
		}
		if again := untrusted.Text(got); again != got {
			t.Fatalf("Text is not stable: %q then %q", got, again)
		}
	})
}
