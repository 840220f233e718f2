package plugin

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ownCodes are what the program itself sends to a terminal: colors and bold of
// view.Style, and the carriage return and erasing of a line of progress.
var ownCodes = regexp.MustCompile("\x1b\\[(0|1|32|1;31|1;33|38;5;22|1;38;5;124|1;38;5;94)m|\x1b\\[K|\r")

// further begins a line in which a text goes on.
var further = regexp.MustCompile("\n {4,}")

// TestATerminalGetsNoCodesButOurs shows a stranger's text to somebody at a
// terminal, in color, by the verbs that read and by those that ask.
func TestATerminalGetsNoCodesButOurs(t *testing.T) {
	for line, answers := range map[string]string{
		"inspect svc/api -o table -f shop": "", "inspect svc/skip -o wide -f shop": "",
		"inspect -A --probe -o table -f shop": "", "verify svc/api -f shop": "", "fetch svc/api -f shop": "",
		"pin svc/api -f shop --write": "n", "skip-verify off svc/skip -f shop --write": "n",
	} {
		t.Run(line, func(t *testing.T) {
			t.Setenv("TERM", "xterm-256color")
			t.Setenv("NO_COLOR", "") // So that it is put back.
			if err := os.Unsetenv("NO_COLOR"); err != nil {
				t.Fatal(err)
			}
			b := newShop(t)
			b.serve(b.identity("hostile"), "10.0.1.1:8443", "10.0.6.1:8443")
			poison(t, filepath.Join("shop", "skip.yaml"), `waiting for the new CA`, yamlEscaped(hostile))
			status := filepath.Join("shop", ".backendtls", "status")
			poison(t, filepath.Join(status, "BackendTLSPolicy.default.api.yaml"),
				`message: The policy is accepted.`, `message: "`+yamlEscaped(hostile)+`"`)
			term := newTerminal(t)
			ended := term.start(t.Context(), b, line)
			if answers != "" {
				term.await("(y/N): ")
				term.enter(answers)
			}
			term.end(ended)
			shown := term.text()
			if !strings.Contains(shown, "\x1b[1m") && strings.Contains(line, "svc/") && !strings.Contains(line, "skip-verify") {
				t.Errorf("nothing is bold: it is no terminal to the program:\n%q", shown)
			}
			// A long text goes on in lines that begin deep inside.
			checkTame(t, []string{line}, further.ReplaceAllString(ownCodes.ReplaceAllString(shown, ""), " "))
		})
	}
}
