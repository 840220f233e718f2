package plugin

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/backendtls/backendtls/plugin/command"
)

// TestNoFlagShadowsOneOfCLIRuntimes compares names and shorthands: -n, -s and
// --tls-server-name mean the API server in every kubectl command.
func TestNoFlagShadowsOneOfCLIRuntimes(t *testing.T) {
	reserved := pflag.NewFlagSet("cli-runtime", pflag.ContinueOnError)
	genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().AddFlags(reserved)
	var walk func(*cobra.Command)
	seen := 0
	walk = func(cmd *cobra.Command) {
		cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
			seen++
			if reserved.Lookup(flag.Name) != nil {
				t.Errorf("%s --%s shadows cli-runtime's", cmd.CommandPath(), flag.Name)
			}
			if flag.Shorthand != "" && reserved.ShorthandLookup(flag.Shorthand) != nil {
				t.Errorf("%s -%s shadows cli-runtime's", cmd.CommandPath(), flag.Shorthand)
			}
		})
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	root := NewRoot(command.Options{Program: "kubectl backendtls"})
	walk(root)
	if seen < 10 {
		t.Errorf("only %d flags were compared", seen)
	}
	for _, name := range []string{"namespace", "kubeconfig", "context", "server", "tls-server-name"} {
		if root.PersistentFlags().Lookup(name) == nil {
			t.Errorf("--%s is not on the root", name)
		}
	}
}

func TestEveryVerbTeachesByExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			walk(child)
		}
		if cmd.HasSubCommands() || cmd.Name() == "version" {
			return
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example of itself", cmd.CommandPath())
		}
		if strings.Contains(cmd.Example+cmd.Long, "PROGRAM") {
			t.Errorf("%s names the program PROGRAM", cmd.CommandPath())
		}
	}
	walk(NewRoot(command.Options{Program: "kubectl backendtls"}))
}

func TestDisplayName(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"/home/me/.krew/bin/kubectl-backendtls", "kubectl backendtls"},
		{"kubectl-backend_tls", "kubectl backend-tls"},
		{"kubectl-backendtls.exe", "kubectl backendtls"},
		{"/usr/bin/btls", "btls"},
	} {
		if got := displayName(test.path); got != test.want {
			t.Errorf("displayName(%q) = %q, want %q", test.path, got, test.want)
		}
	}
}

// TestCommandLinesThatAreWrong are answered with one line that says the next
// step, nothing on stdout, and exit code 1, or 2 from the verb that judges.
func TestCommandLinesThatAreWrong(t *testing.T) {
	b := newBench(t, "shop")
	if err := os.Mkdir("bare", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, line, want string
		code             int
	}{
		{"neither a cluster nor files", "inspect", "no cluster is configured: set KUBECONFIG", 1},
		{"nor to verify", "verify svc/api", "or read manifests with -f DIR", 2},
		{"a context that is not there", "inspect --context nowhere", `context "nowhere" does not exist`, 1},
		{"status beside a cluster", "inspect --state dir", "--state is about files", 1},
		{"a tunnel to files", "fetch svc/api --via port-forward -f shop", "files name no cluster to forward through", 1},
		{"a tunnel to an address", "fetch svc/api --via port-forward --address 10.0.0.1:1", "contradict each other", 1},
		{"an unknown verb near a known one", "inspekt", "did you mean inspect?", 1},
		{"an unknown verb", "frobnicate", "`kubectl backendtls --help` lists them", 1},
		{"an unknown verb with flags", "inspekt svc/api -f shop", "did you mean inspect?", 1},
		{"an unknown flag of no verb", "--frob", "`kubectl backendtls --help` lists the flags", 1},
		{"an unknown flag", "fetch --frob", "`kubectl backendtls fetch --help` lists the flags", 1},
		{"an unknown flag of a verb that judges", "verify --frob", "unknown flag: --frob", 2},
		{"a directory that does not exist", "inspect -f nowhere", "nowhere does not exist", 1},
		{"a directory without manifests", "inspect -f bare", "bare holds no .yaml, .yml or .json file", 1},
		{"no target", "fetch -f shop", "want svc/NAME[:PORT]", 1},
		{"a target without kind", "fetch api -f shop", "want svc/NAME[:PORT] or btlspolicy/NAME", 1},
		{"a target of another kind", "fetch pod/api -f shop", `no such kind of target as "pod"`, 1},
		{"a misspelled Service", "fetch svc/apii -f shop", "did you mean svc/api?", 1},
		{"a Service elsewhere", "fetch svc/lonely -f shop", "add -n shop", 1},
		{"an unknown Service", "inspect svc/zzz -f shop", "`kubectl backendtls inspect -A -f shop` lists", 1},
		{"an unknown Service to verify", "verify svc/zzz -f shop", "svc/zzz does not exist", 2},
		{"several ports", "fetch svc/multi -f shop", "svc/multi:443 (https), svc/multi:8443 (admin)", 1},
		{"a port that does not exist", "fetch svc/multi:1 -f shop", "svc/multi has no port 1", 1},
		{"a policy that lost", "fetch btlspolicy/good-younger -f shop", "svc/good:443 is decided by btlspolicy/good", 1},
		{"an output format", "inspect -o sarif -f shop", "want one of table, wide, name, json, yaml, kyaml, jsonpath=TEMPLATE", 1},
		{"a jsonpath", "inspect -o jsonpath={.items[ -f shop", "jsonpath", 1},
		{"no jsonpath", "inspect -o jsonpath -f shop", "want jsonpath=TEMPLATE, such as", 1},
		{"a template", "verify -o go-template={{.items -f shop", "template", 2},
		{"a template's file", "fetch -A -o go-template-file=nowhere -f shop", "nowhere: no such file", 1},
		{"a value of a format that has none", "fetch -A -o json=x -f shop", "want one of table", 1},
		{"the certificates of a verb that has none", "verify -A -o pem -f shop", "want one of table", 2},
		{"contradicting flags", "inspect --probe --no-probe -f shop", "contradict each other", 1},
		{"a name and -A", "inspect svc/api -A -f shop", "use one or the other", 1},
		{"a selector", "inspect -l =,= -f shop", "-l", 1},
		{"another way", "fetch svc/api --via tunnel -f shop", "want port-forward or direct", 1},
		{"no time", "fetch svc/api --probe-timeout 0s -f shop", "want more than 0", 1},
		{"an address without port", "fetch svc/api --address 10.0.0.1 -f shop", "want HOST:PORT", 1},
		{"an address of nobody", "fetch svc/api --address nobody:1 -f shop", "no such host", 1},
		{"an address for several ports", "fetch -A --address 10.0.0.1:1 -f shop", "name one TARGET", 1},
		{"an IP address as server name", "fetch svc/api --sni 10.0.0.1 -f shop", "want a DNS name", 1},
		{"no shell", "completion", "nothing is named: want one of kubectl, bash", 1},
		{"an unknown shell", "completion csh", "want one of kubectl, bash, zsh, fish, powershell", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := b.run(strings.Fields(test.line)...)
			if code != test.code || stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q", code, test.code, stdout)
			}
			if !strings.HasPrefix(stderr, "error: ") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("stderr is not one line of error: %q", stderr)
			}
			if !strings.Contains(stderr, test.want) {
				t.Errorf("stderr %q, want %q in it", stderr, test.want)
			}
		})
	}
}

func TestAnInterruptionEndsWith130(t *testing.T) {
	b := newBench(t, "shop")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.listen(func(conn net.Conn) {
		cancel() // Ctrl-C while the endpoint is silent.
		_, _ = conn.Read(make([]byte, 1))
	}, "10.0.1.1:8443", "10.0.1.2:8443")
	code, stdout, stderr := b.runContext(ctx, "fetch", "svc/api", "-f", "shop", "--probe-timeout", "1h")
	if code != command.Interrupted || stdout != "" || stderr != "error: interrupted: 0 of 2 endpoints asked\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestCompletionForKubectlIsAProgram(t *testing.T) {
	code, stdout, _ := newBench(t, "shop").run("completion", "kubectl")
	if code != 0 || !strings.HasPrefix(stdout, "#!/bin/sh\n") ||
		!strings.HasSuffix(stdout, "\nexec kubectl backendtls __complete \"$@\"\n") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}

func TestCompletionKnowsTheObjectsInTheFiles(t *testing.T) {
	b := newBench(t, "shop")
	for _, test := range []struct{ line, want string }{
		{"__complete fetch -f shop svc/", "svc/api\nsvc/drift\n"},
		{"__complete inspect -f shop gateway/", "gateway/mesh\ngateway/strict\ngateway/web\n"},
		{"__complete verify -f shop -n shop btlspolicy/", "btlspolicy/lonely\n"},
		{"__complete fetch b", "svc/\nbtlspolicy/\n"},
	} {
		if _, stdout, _ := b.run(strings.Fields(test.line)...); !strings.Contains(stdout, test.want) {
			t.Errorf("%s:\n%swant\n%s", test.line, stdout, test.want)
		}
	}
}

func TestVersionNamesTheToolchain(t *testing.T) {
	code, stdout, _ := newBench(t, "shop").run("version")
	if code != 0 || !strings.Contains(stdout, "go1.") {
		t.Errorf("exit code %d: %q", code, stdout)
	}
}

func TestVersionIsWhatTheLinkerWasTold(t *testing.T) {
	var stdout strings.Builder
	streams := genericiooptions.IOStreams{Out: &stdout, ErrOut: &stdout}
	code := Run(t.Context(), "v1.2.3-4-gabcdef", []string{"kubectl-backendtls", "version"}, streams)
	if code != 0 || !strings.HasPrefix(stdout.String(), "v1.2.3-4-gabcdef go1.") {
		t.Errorf("exit code %d: %q", code, stdout.String())
	}
}

func TestHelpNamesNoFlagThatDoesNothing(t *testing.T) {
	b := newBench(t, "shop")
	for _, line := range []string{"--help", "inspect --help"} {
		_, stdout, _ := b.run(strings.Fields(line)...)
		if !strings.Contains(stdout, "-n") || strings.Contains(stdout, "--cache-dir") {
			t.Errorf("%s:\n%s", line, stdout)
		}
	}
}

func TestFaultsInFilesAreSaidWithTheirPlace(t *testing.T) {
	b := newShop(t)
	broken := "apiVersion: v1\nkind: Service\nmetadata: {name: typo}\nspec:\n  prots: []\n"
	if err := os.WriteFile(filepath.Join("shop", "typo.yaml"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	for verb, want := range map[string]int{"inspect": 1, "fetch": 1, "verify": 2} {
		code, stdout, stderr := b.run(verb, "svc/good", "-f", "shop")
		if code != want || stdout == "" {
			t.Errorf("%s: exit code %d, want %d and an answer on stdout: %q", verb, code, want, stdout)
		}
		if !strings.Contains(stderr, "warning: shop/typo.yaml:5: ") || !strings.Contains(stderr, "incomplete") {
			t.Errorf("%s: stderr %q", verb, stderr)
		}
	}
}
