package untrusted_test

import (
	"strings"
	"testing"
	"time"
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
		{"an operating system command becomes visible text", "a\x1b]52;c;ZXZpbA==\x07b", "a^[]52;c;ZXZpbA==b"},
		{"a hyperlink becomes visible text", "\x1b]8;;http://evil/\x1b\\ok", `^[]8;;http://evil/^[\ok`},
		{"a device control string becomes visible text", "\x1bP1$r0m\x1b\\", `^[P1$r0m^[\`},
		{"NUL is removed", "a\x00b", "ab"},
		{"the next-line control is removed", "a\u0085b", "ab"},
		{"blanks of every width are blanks", "a\u00a0b\u2003c\u3000d", "a b c d"},
		{"what is private or no character is replaced", "a\ue000b\U0010ffffc\ufdd0d", "a\ufffdb\ufffdc\ufffdd"},
		{"few combining marks stay", "e\u0301\u0302", "e\u0301\u0302"},
		{"more would grow over other lines", "e" + strings.Repeat("\u0301", 50) + "x", "e" + strings.Repeat("\u0301", 4) + "x"},
		{"other scripts stay", "bücher.example 例え", "bücher.example 例え"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := untrusted.Text(test.in); got != test.want {
				t.Errorf("Text(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestALongTextIsCut(t *testing.T) {
	for name, long := range map[string]string{
		"a megabyte of words":           strings.Repeat("evil ", 200_000),
		"a megabyte of escapes":         strings.Repeat("\x1b[31m", 200_000),
		"a megabyte of what is removed": strings.Repeat("\u200b", 300_000),
		"a megabyte of wide characters": strings.Repeat("\U0001f480", 250_000),
		"a megabyte of broken UTF-8":    strings.Repeat("\xff", 1_000_000),
	} {
		began := time.Now()
		got := untrusted.Text(long)
		if len(got) > untrusted.Most || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, %q", name, len(got), got[max(0, len(got)-40):])
		}
		if !strings.HasSuffix(got, " bytes more)") && !strings.HasSuffix(got, "....") {
			t.Errorf("%s: it does not say that it is cut: %q", name, got[max(0, len(got)-40):])
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: it takes %s", name, took)
		}
	}
	if exact := strings.Repeat("x", untrusted.Most); untrusted.Text(exact) != exact {
		t.Error("a text that just fits is cut")
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
			return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r)
		}); i >= 0 {
			t.Fatalf("Text(%q) = %q has a control at %d", s, got, i)
		}
		if len(got) > untrusted.Most {
			t.Fatalf("Text(%q) has %d bytes", s, len(got))
		}
		if again := untrusted.Text(got); again != got {
			t.Fatalf("Text is not stable: %q then %q", got, again)
		}
	})
}
