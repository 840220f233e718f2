package plugin

import (
	"strings"
	"testing"
)

func TestFlagsAreCompletedByTheWordsThatTheyTake(t *testing.T) {
	b := newBench(t, "shop")
	const noFiles, noSpace = "\n:4\n", "\n:6\n"
	for _, test := range []struct{ name, line, want, directive string }{
		{"forms of a pin", "pin svc/api --form ", "spki\ncertificate\nleaf\nca", noFiles},
		{"a form that is begun", "pin svc/api --form=l", "leaf", noFiles},
		{"ways", "fetch svc/api --via ", "port-forward\tpods, through the API server\ndirect\taddresses, from here", noFiles},
		{"checks to skip", "skip-verify on svc/api --only ", "expiry\tskip the dates\nname\tskip the names", noFiles},
		{"dry runs", "unpin svc/api --dry-run=s", "server\tlet the API server say what it would store", noFiles},
		{"durations", "skip-verify on svc/api --for ", "30s\n1m\n30m", noFiles},
		{"formats of a list", "inspect -o ", "table\nwide\nname\njson\nyaml\n", noFiles},
		{"formats of certificates", "fetch -o p", "pem", noFiles},
		{"formats of a change", "pin -o ", "yaml\njson\nname", noFiles},
		{"a format that wants a template", "inspect -o jsonpath=", "jsonpath=", noSpace},
		{"a reason, which is no file", "skip-verify on svc/api --reason ", "", ":4\n"},
		{"namespaces in files", "inspect -f shop -n ", "default\nshop", noFiles},
		{"files", "inspect -f ", "", ":0\n"},
		{"verbs", "ins", "inspect\tShow every path", noFiles},
		{"both ways of skip-verify", "skip-verify o", "off\tEnd an insecure mode now", noFiles},
		{"shells", "completion ", "kubectl\nbash\nzsh\nfish\npowershell", noFiles},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"__complete"}, strings.Split(test.line, " ")...)
			code, stdout, stderr := b.run(args...)
			if code != 0 || !strings.Contains(stdout, test.want) || !strings.HasSuffix(stdout, test.directive) {
				t.Errorf("exit code %d, stderr %q:\n%swant\n%s%s", code, stderr, stdout, test.want, test.directive)
			}
		})
	}
}

func TestNothingThatIsCompletedSpoilsTheTerminal(t *testing.T) {
	// Completion asks nobody and says nothing where there is no cluster.
	b := newBench(t, "shop")
	for _, line := range []string{"inspect svc/", "fetch -n ", "pin btlspolicy/x --context "} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		args = append(args[:1], append([]string{"--kubeconfig", "nowhere"}, args[1:]...)...)
		code, _, stderr := b.run(args...)
		if code != 0 || strings.Contains(stderr, "error") || strings.Contains(stderr, "warning") {
			t.Errorf("%s: exit code %d, stderr %q", line, code, stderr)
		}
	}
}
