package plugin

import (
	"strings"
	"testing"
)

// TestWhatIsTypedDecidesInACluster answers the questions of the verbs that
// write. Until then the API server has only been asked what it would do.
func TestWhatIsTypedDecidesInACluster(t *testing.T) {
	const inDefault = " in namespace default? (y/N): "
	for _, test := range []struct {
		name, line, question, answer string
		writes                       bool
	}{
		{"y", "pin svc/api --via direct", "Write btlspolicy/api" + inDefault, "y", true},
		{"n", "pin svc/api --via direct", "Write btlspolicy/api" + inDefault, "n", false},
		{
			"y to a bundle", "pin svc/api --form leaf --via direct",
			"Write configmap/api-backendtls and btlspolicy/api" + inDefault, "y", true,
		},
		{
			"y to a key change", "pin svc/pinned --via direct",
			asksForName + "pinned, to go on: ", "y", false,
		},
		{
			"the name to a key change", "pin svc/pinned --via direct",
			asksForName + "pinned, to go on: ", "pinned", true,
		},
		{"y to unpin", "unpin svc/rotate --via direct", "Write btlspolicy/rotate" + inDefault, "y", true},
		{
			"the name to skip-verify", "skip-verify on svc/good --for 1h --reason x",
			asksForName + "good, to go on: ", "good", true,
		},
		{"y to skip-verify", "skip-verify on svc/good --for 1h --reason x", asksForName + "good, to go on: ", "y", false},
		{"n to off", "skip-verify off svc/shut", "Write btlspolicy/shut" + inDefault, "n", false},
		{"y to off", "skip-verify off svc/shut", "Write btlspolicy/shut" + inDefault, "y", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newClusterDesk(t)
			term := newTerminal(t)
			ended := term.start(t.Context(), d.bench, test.line+" --wait 0 --server "+d.api.URL)
			term.await(test.question)
			if writes := d.writes(); len(writes) > 0 {
				t.Fatalf("written before the answer: %v", writes)
			}
			term.enter(test.answer)
			code := term.end(ended)
			if wrote := len(d.writes()) > 0; wrote != test.writes || (code == 0) != test.writes {
				t.Errorf("exit code %d, wrote %v:\n%s", code, wrote, term.text())
			}
			if !test.writes {
				term.await("error: not confirmed, nothing was written\n")
			}
		})
	}
}

func TestTheWaitForTheEnvoysIsShown(t *testing.T) {
	d := newClusterDesk(t)
	term := newTerminal(t)
	d.operate("rotate", func(generation int64) []any {
		return []any{
			condition("Accepted", "True", "Accepted", "", generation),
			condition("Programmed", "False", "Pending", "1 of 2 Envoys acknowledged \x1b[31mit", generation),
		}
	}, "default/web")
	ended := term.start(t.Context(), d.bench, "unpin svc/rotate --via direct --yes --wait 4s --server "+d.api.URL)
	term.await("written: gateway/web: 1 of 2 Envoys acknowledged")
	if code := term.end(ended); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(term.text(), "\x1b[31m") {
		t.Errorf("what others wrote drives the terminal: %q", term.text())
	}
}
