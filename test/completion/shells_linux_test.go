package completion

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lines are typed up to the Tab key, and what the shell makes of them.
var lines = []struct{ name, typed, want string }{
	{"a verb", "kubectl-backendtls insp", "kubectl-backendtls inspect"},
	{"a flag", "kubectl-backendtls verify --ignore-m", "kubectl-backendtls verify --ignore-mode"},
	{"a value", "kubectl-backendtls pin svc/payments --form cert", "kubectl-backendtls pin svc/payments --form certificate"},
	{"a format", "kubectl-backendtls inspect -o wi", "kubectl-backendtls inspect -o wide"},
	{"a namespace", "kubectl-backendtls inspect -f $SHOP -n sh", "kubectl-backendtls inspect -f SHOP -n shop"},
	{"a context", "kubectl-backendtls inspect --context stag", "kubectl-backendtls inspect --context staging"},
	{"a Service", "kubectl-backendtls fetch -f $SHOP -n shop svc/pay", "kubectl-backendtls fetch -f SHOP -n shop svc/payments"},
	{"a Gateway", "kubectl-backendtls inspect -f $SHOP -n shop gateway/ent", "kubectl-backendtls inspect -f SHOP -n shop gateway/entrance"},
	{"a shell", "kubectl-backendtls completion pow", "kubectl-backendtls completion powershell"},
}

// shells are started without anybody's own configuration.
var shells = map[string]struct {
	packages string
	args     []string
	// prepare loads the completion as docs/krew.md says.
	prepare string
}{
	"bash": {
		packages: "bash bash-completion",
		args:     []string{"--norc", "--noprofile", "-i"},
		prepare:  ". /usr/share/bash-completion/bash_completion; source <(kubectl-backendtls completion bash)",
	},
	"zsh": {
		packages: "zsh",
		args:     []string{"-f", "-i"},
		prepare:  "bindkey -e; autoload -Uz compinit; compinit -u -D; source <(kubectl-backendtls completion zsh)",
	},
	"fish": {
		packages: "fish",
		args:     []string{"--no-config", "-i"},
		prepare:  "kubectl-backendtls completion fish | source",
	},
}

func TestTheTabKeyCompletesInEveryShell(t *testing.T) {
	files := shop(t)
	for shell, s := range shells {
		t.Run(shell, func(t *testing.T) {
			program, err := exec.LookPath(shell)
			if err == nil && shell == "bash" {
				_, err = os.Stat("/usr/share/bash-completion/bash_completion")
			}
			if err != nil {
				t.Fatalf("%v: this test types at a real %s: apt-get install %s", err, shell, s.packages)
			}
			for _, line := range lines {
				t.Run(line.name, func(t *testing.T) {
					t.Parallel()
					term := open(t, environment(t, files), program, s.args...)
					term.types(s.prepare + "; echo LOADE\"\"D\r")
					term.shows("LOADED")
					// Tab, then to the beginning of the line: it is printed, not run.
					term.types(line.typed + "\t\x01echo COMPLETE\"\"D '\x05'\r")
					got := strings.Join(strings.Fields(term.shows("COMPLETED ")), " ")
					if want := strings.ReplaceAll(line.want, "SHOP", "$SHOP"); got != want {
						t.Errorf("%q becomes %q, want %q", line.typed, got, want)
					}
				})
			}
		})
	}
}

// TestTheScriptForPowerShellIsOne runs it where there is a PowerShell.
func TestTheScriptForPowerShellIsOne(t *testing.T) {
	files := shop(t)
	script, err := exec.CommandContext(t.Context(), filepath.Join(bin, "kubectl-backendtls"), "completion", "powershell").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "Register-ArgumentCompleter -CommandName 'kubectl-backendtls'") {
		t.Errorf("it registers nothing for kubectl-backendtls:\n%s", script)
	}
	program, err := exec.LookPath("pwsh")
	if err != nil {
		t.Log("no pwsh is on the PATH: the script was not run")
		return
	}
	cmd := exec.CommandContext(t.Context(), program, "-NoProfile", "-Command",
		"kubectl-backendtls completion powershell | Out-String | Invoke-Expression; "+
			"(TabExpansion2 'kubectl-backendtls insp' 23).CompletionMatches.CompletionText")
	cmd.Env = environment(t, files)
	if output, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(output)) != "inspect" {
		t.Errorf("%v\n%s", err, output)
	}
}

// TestKubectlAsksTheProgramThatItLooksFor is what kubectl 1.26 and newer do.
func TestKubectlAsksTheProgramThatItLooksFor(t *testing.T) {
	files := shop(t)
	env := environment(t, files)
	own := t.TempDir()
	env = append(env, "PATH="+own+string(os.PathListSeparator)+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	script, err := exec.CommandContext(t.Context(), filepath.Join(bin, "kubectl-backendtls"), "completion", "kubectl").Output()
	if err != nil {
		t.Fatal(err)
	}
	completer := filepath.Join(own, "kubectl_complete-backendtls")
	if err := os.WriteFile(completer, script, 0o755); err != nil {
		t.Fatal(err)
	}
	program, args := "kubectl", []string{"__complete", "backendtls", "fetch", "-f", files, "-n", "shop", "svc/"}
	if _, err := exec.LookPath(program); err != nil {
		t.Log("no kubectl is on the PATH: its part is played here")
		program, args = completer, args[2:]
		kubectl := "#!/bin/sh\nshift\nexec kubectl-backendtls \"$@\"\n"
		if err := os.WriteFile(filepath.Join(own, "kubectl"), []byte(kubectl), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = env
	if output, err := cmd.Output(); err != nil || !strings.HasPrefix(string(output), "svc/payments\n") {
		t.Errorf("%v\n%s", err, output)
	}
}

// bin is where the plugin is built for all tests.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "completion"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(bin)
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
			"-o", bin, "github.com/backendtls/backendtls/cmd/kubectl-backendtls")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the plugin: %v\n%s", err, output)
			return 1
		}
		return m.Run()
	}())
}

func shop(t *testing.T) string {
	t.Helper()
	files, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// environment is that of somebody with the plugin on the PATH and two contexts.
func environment(t *testing.T, files string) []string {
	t.Helper()
	home := t.TempDir()
	kubeconfig := filepath.Join(home, "config")
	contexts := "apiVersion: v1\nkind: Config\ncontexts:\n" +
		"- {name: staging, context: {cluster: a}}\n- {name: production, context: {cluster: b}}\n"
	if err := os.WriteFile(kubeconfig, []byte(contexts), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "HOME="+home, "KUBECONFIG="+kubeconfig, "SHOP="+files, "TERM=xterm", "LC_ALL=C.UTF-8",
		"PS1=> ", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}
