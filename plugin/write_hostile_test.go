package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkTame holds that nothing drives a terminal and that no stranger writes a
// line of his own.
func checkTame(t *testing.T, args []string, outputs ...string) {
	t.Helper()
	for _, text := range outputs {
		if i := strings.IndexFunc(text, drives); i >= 0 {
			t.Errorf("%q: prints %q", args, text[i:min(len(text), i+40)])
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(line), "VERDICT: passes") {
				t.Errorf("%q: prints a line of the stranger's own", args)
			}
		}
	}
}

// TestTextOfStrangersCannotDriveTheTerminalOfWhoWrites: certificates, the reason
// of a mode, names of files and of the server.
func TestTextOfStrangersCannotDriveTheTerminalOfWhoWrites(t *testing.T) {
	for _, line := range []string{
		"pin svc/new", "pin svc/new --form certificate", "pin svc/new --form leaf", "pin svc/new --form ca",
		"pin svc/new -o json", "pin svc/new --write --yes", "skip-verify on svc/new --for 1h --reason x",
		"pin svc/shut", "skip-verify off svc/shut", "skip-verify off svc/shut --write", "unpin svc/shut",
		"skip-verify on svc/new --for 1h --reason \x1b[2J\u202e", "pin svc/new --policy-name \x1b[2J",
		"pin svc/new --hostname \u202e.example.com", "pin svc/new --sni \x1b[2J\u202e", "pin svc/new --and-next \x1b[2J",
		"unpin svc/rotate \x1b[2J\u202e",
	} {
		t.Run(line, func(t *testing.T) {
			b := newDesk(t)
			b.serve(b.identity("hostile"), "10.1.1.1:8443", "10.1.13.1:8443")
			replace(t, "desk/shut.yaml", "the CA is late", `"`+yamlEscaped(hostile)+`"`)
			if err := os.Rename("desk/shut.yaml", filepath.Join("desk", "sh\x1b[1mut\u202e.yaml")); err != nil {
				t.Fatal(err)
			}
			args := append(strings.Fields(line), "-f", "desk")
			_, stdout, stderr := b.run(args...)
			checkTame(t, args, stdout, stderr)
			if strings.TrimSpace(stderr) == "" {
				t.Errorf("%q prints nothing", args)
			}
		})
	}
}

// TestAManifestIsPrintedAsItIs: to anything else than a terminal the
// manifest is printed as it is.
func TestAManifestIsPrintedAsItIs(t *testing.T) {
	b := newDesk(t)
	const comment = "# \u202ereversed\u202c"
	replace(t, apiPolicy, "# end", comment)
	if _, stdout, _ := b.run("pin", "svc/api", "-f", "desk"); !strings.Contains(stdout, "\n"+comment+"\n") {
		t.Errorf("the comment is not printed:\n%s", stdout)
	}
}
