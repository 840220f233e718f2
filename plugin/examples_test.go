package plugin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/plugin/command"
	"github.com/backendtls/backendtls/test/pki"
)

// TestExamplesOfTheHelpRun types every example of every --help, in a cluster or
// at the files that it names. What it comes to is the verb's business; that it is
// understood is the help's.
func TestExamplesOfTheHelpRun(t *testing.T) {
	ran := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			walk(child)
		}
		if cmd.Name() == "completion" {
			return // Those are for shells.
		}
		for line := range strings.Lines(cmd.Example) {
			for part := range strings.SplitSeq(strings.TrimSpace(line), " && ") {
				part, _, _ = strings.Cut(part, " > ")
				part, _, _ = strings.Cut(part, " | ")
				typed, found := strings.CutPrefix(part, "kubectl backendtls ")
				if !found {
					continue
				}
				ran++
				t.Run(typed, func(t *testing.T) { runExample(t, typed) })
			}
		}
	}
	walk(NewRoot(command.Options{Program: "kubectl backendtls"}))
	if ran < 20 {
		t.Errorf("only %d examples", ran)
	}
}

var (
	shellWord   = regexp.MustCompile(`(?:[^\s'"]|'[^']*'|"[^"]*")+`)
	shellQuoted = regexp.MustCompile(`'([^']*)'|"([^"]*)"`)
)

func runExample(t *testing.T, typed string) {
	t.Helper()
	s := newClusterShop(t)
	request, err := pki.Request{Name: "next"}.CSR()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("next.csr", request, 0o600); err != nil {
		t.Fatal(err)
	}
	key := "spki-sha256:Gy0SZojtLfEiXt3n9hD85Y8nWkAvZEbhFcH/0d3WLvo="
	args := shellWord.FindAllString(strings.NewReplacer("spki-sha256:...", key, "-f DIR", "-f shop").Replace(typed), -1)
	for i, arg := range args {
		args[i] = shellQuoted.ReplaceAllString(arg, "$1$2")
	}
	if !strings.Contains(typed, "-f DIR") {
		args = append(args, "--server", s.api.URL)
	}
	if strings.HasSuffix(typed, " -w") {
		w := s.watch(args...)
		w.await(1, "") // Somebody has seen enough.
		if code := w.end(); code != command.Interrupted {
			t.Errorf("exit code %d: %s", code, w.errOut.String())
		}
		return
	}
	code, stdout, stderr := s.run(args...)
	for _, fault := range []string{"--help", "unknown", "unexpected", "want ", "invalid", "contradict", "needs", "nothing is named"} {
		if code != command.Done && strings.Contains(stderr, fault) {
			t.Errorf("exit code %d: %s", code, stderr)
			break
		}
	}
	if stdout+stderr == "" && !strings.Contains(typed, "jsonpath") {
		t.Errorf("exit code %d, and not a word", code)
	}
}
