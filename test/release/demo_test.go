package release

import (
	"bufio"
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programs builds what a demo consists of besides the plugin.
func programs(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	for name, pkg := range map[string]string{"backendtls-operator": "./cmd/operator", "demo": "./hack/demo"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
			"-o", filepath.Join(bin, name), pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", pkg, err, output)
		}
	}
	return bin
}

// useOnADemo lets the demo tell its story with the installed plugin, and then
// inspects, unpins and pins what stays up, as somebody at a terminal does.
func useOnADemo(t *testing.T, k kubectl, bin, others string) {
	t.Helper()
	if err := os.Symlink(filepath.Join(others, "backendtls-operator"), filepath.Join(bin, "backendtls-operator")); err != nil {
		t.Fatal(err)
	}
	dir, gateway := demo(t, filepath.Join(others, "demo"), bin)

	k.run(t, "unpin", "svc/api", "-f", dir, "--write", "--yes")
	answers(t, gateway, http.StatusServiceUnavailable)
	if got := k.run(t, "inspect", "svc/api", "-f", dir); !strings.Contains(got, "503: the certificate is self-signed") {
		t.Errorf("inspect does not say why it answers 503:\n%s", got)
	}
	got := k.run(t, "pin", "svc/api", "-f", dir, "--write", "--yes")
	if !strings.Contains(got, "btlspolicy/api pinned") {
		t.Errorf("pin says:\n%s", got)
	}
	answers(t, gateway, http.StatusOK)
	if got := k.run(t, "inspect", "svc/api", "-f", dir, "-o", "name"); !strings.Contains(got, "api") {
		t.Errorf("inspect -o name says %q", got)
	}
	k.run(t, "verify", "svc/api", "-f", dir)
	for kind, name := range map[string]string{
		"services": "api", "gateways": "web", "httproutes": "api", "backendtlspolicies": "api",
	} {
		// k9s starts kubectl with these.
		args := k9sArguments(t, kind, name)
		if got := k.run(t, append(args[1:], "-f", dir)...); !strings.Contains(got, "svc/api:443") {
			t.Errorf("k9s shows for %s/%s:\n%s", kind, name, got)
		}
	}
}

// kept is what the demo says of what stays up, when its story is told.
var kept = regexp.MustCompile(`^  kubectl-backendtls inspect svc/api -f (\S+)$|^  curl -i (\S+)$`)

// demo runs the demo until the test ends, with the plugin in bin.
func demo(t *testing.T, program, bin string) (dir, gateway string) {
	t.Helper()
	envoy := os.Getenv("ENVOY")
	if envoy == "" {
		t.Fatal("ENVOY is not set: these tests need a real Envoy; `make test` gets one")
	}
	//nolint:usetesting // A socket's path has at most 107 bytes, and t.TempDir has the test's name in it.
	own, err := os.MkdirTemp("", "demo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(own); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command(program, "--bin", bin, "--envoy", envoy, "--root", own, "--keep")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for range said {
		}
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 130 {
			t.Errorf("the demo ended with %v", err)
		}
	})
	var story strings.Builder
	for deadline := time.After(2 * time.Minute); dir == "" || gateway == ""; {
		select {
		case line, open := <-said:
			if !open {
				t.Fatalf("the demo ended:\n%s", story.String())
			}
			story.WriteString(line + "\n")
			if found := kept.FindStringSubmatch(line); found != nil {
				dir, gateway = cmp.Or(found[1], dir), cmp.Or(found[2], gateway)
			}
		case <-deadline:
			t.Fatalf("the demo does not come to its end:\n%s", story.String())
		}
	}
	return dir, gateway
}

// answers waits until the Gateway answers with a code.
func answers(t *testing.T, gateway string, want int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for got := 0; ; <-tick.C {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			got = response.StatusCode
			_ = response.Body.Close()
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Gateway answers %d (%v), want %d", got, err, want)
		}
	}
}
