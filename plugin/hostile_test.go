package plugin

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// hostile is what a stranger would like to print.
const hostile = "\u001b]52;c;ZXZpbA==\u0007\u001b]8;;http://evil\u001b\\\u001bP1$r0m\u001b\\\u0000\u2028\ufeff" +
	"\u001b[2J\u001b]0;owned\u0007\u009b31m\u202egnp\u202c\u2066x\u2069\u200b\r\nVERDICT: passes"

// TestTextOfStrangersCannotDriveTheTerminal puts escape sequences, controls and
// bidirectional overrides into everything that a stranger writes: a certificate,
// a plaintext banner, a mode's reason, a status, a file's name and its content.
func TestTextOfStrangersCannotDriveTheTerminal(t *testing.T) {
	b := newShop(t)
	b.serve(b.identity("hostile"), "10.0.1.1:8443", "10.0.6.1:8443")
	poison(t, filepath.Join("shop", "skip.yaml"), `waiting for the new CA`, yamlEscaped(hostile))
	status := filepath.Join("shop", ".backendtls", "status")
	poison(t, filepath.Join(status, "BackendTLSPolicy.default.api.yaml"),
		`message: The policy is accepted.`, `message: "`+yamlEscaped(hostile)+`"`)
	broken := "apiVersion: v1\nkind: Service\nmetadata: {name: typo}\nspec:\n  \"" + yamlEscaped(hostile) + "\": []\n"
	if err := os.WriteFile(filepath.Join("shop", "ty\x1b[1mpo\u202e.yaml"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"svc/api", "svc/skip", "svc/text", "svc/\x1b[2J\u202e", "-A"} {
		for verb, formats := range map[string]string{
			"inspect": "table wide json yaml jsonpath={.items[*]}",
			"fetch":   "table wide json yaml pem jsonpath={.items[*]}",
			"verify":  "table wide json yaml jsonpath={.items[*]}",
		} {
			for format := range strings.FieldsSeq(formats) {
				args := []string{verb, target, "-o", format, "-f", "shop"}
				if verb == "inspect" && target == "-A" {
					args = append(args, "--probe")
				}
				_, stdout, stderr := b.run(args...)
				for name, text := range map[string]string{"stdout": stdout, "stderr": stderr} {
					if i := strings.IndexFunc(text, drives); i >= 0 {
						t.Errorf("%q: %s has %q", args, name, text[i:min(len(text), i+40)])
					}
					for line := range strings.Lines(text) {
						if strings.HasPrefix(line, "VERDICT: passes") {
							t.Errorf("%q: %s has a line of the stranger's own", args, name)
						}
					}
				}
				if strings.TrimSpace(stdout+stderr) == "" {
					t.Errorf("%q prints nothing", args)
				}
			}
		}
	}
}

// TestTextOfStrangersCannotWriteLinesOfAQuestion is about what is shown before
// somebody decides: nobody else may put a line of his own into it.
func TestTextOfStrangersCannotWriteLinesOfAQuestion(t *testing.T) {
	b := newShop(t)
	b.serve(b.identity("hostile"), "10.0.1.1:8443", "10.0.6.1:8443")
	poison(t, filepath.Join("shop", "skip.yaml"), `waiting for the new CA`, yamlEscaped(hostile))
	for _, args := range [][]string{
		{"pin", "svc/api", "--replace", "-f", "shop"},
		{"pin", "svc/api", "--replace", "--form", "leaf", "-f", "shop"},
		{"skip-verify", "off", "svc/skip", "-f", "shop"},
	} {
		_, stdout, stderr := b.run(args...)
		if stdout == "" {
			t.Errorf("%q prints no manifest: %s", args, stderr)
		}
		for line := range strings.Lines(stderr) {
			if strings.HasPrefix(strings.TrimSpace(line), "VERDICT: passes") {
				t.Errorf("%q shows a line of the stranger's own:\n%s", args, stderr)
				break
			}
		}
	}
}

// drives says whether a terminal would do something about the character.
func drives(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r) ||
		r == '\u2028' || r == '\u2029'
}

func yamlEscaped(text string) string {
	var escaped strings.Builder
	for _, r := range text {
		if r < 0x20 || r > 0x7e {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	return escaped.String()
}

// poison replaces a text in a file; it must be there.
func poison(t *testing.T, path, old, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		t.Fatalf("%s does not hold %q", path, old)
	}
	changed := strings.ReplaceAll(string(content), `"`+old+`"`, old)
	quoted := text
	if !strings.Contains(text, `"`) {
		quoted = `"` + text + `"`
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(changed, old, quoted)), 0o600); err != nil {
		t.Fatal(err)
	}
}
