package tui

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// bin is where the programs are, built once for all tests.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = build(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

// build builds the programs as `make build` does, without C.
func build() (string, error) {
	bin, err := os.MkdirTemp("", "tui-bin")
	if err != nil {
		return "", err
	}
	for name, pkg := range map[string]string{
		"backendtls-operator": "cmd/operator", "kubectl-backendtls": "cmd/kubectl-backendtls", "demo": "hack/demo",
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(bin, name),
			"github.com/backendtls/backendtls/"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return bin, fmt.Errorf("%s: %w", pkg, err)
		}
	}
	return bin, nil
}

// run runs the demo until the test ends, and reads what it says until done says
// that it was everything that counts.
func run(t *testing.T, directory string, done func(line string) bool, arguments ...string) {
	t.Helper()
	read, write := io.Pipe()
	cmd := exec.Command(filepath.Join(bin, "demo"), append([]string{"--bin", bin, "--keep"}, arguments...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = directory, write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ending sync.WaitGroup
	ending.Go(func() {
		_ = cmd.Wait()
		_ = write.Close()
	})
	t.Cleanup(func() {
		// Interrupted, it tidies up.
		_ = cmd.Process.Signal(syscall.SIGINT)
		ending.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(read); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if done(lines.Text()) {
			ending.Go(func() { _, _ = io.Copy(io.Discard, read) })
			return
		}
	}
	t.Fatalf("the demo does not stay up:\n%s", said.String())
}

var (
	hintFiles   = regexp.MustCompile(`kubectl-backendtls inspect svc/api -f (\S+)`)
	hintGateway = regexp.MustCompile(`curl -i (http://\S+)`)
	hintCluster = regexp.MustCompile(`export PATH=(\S+):\$PATH KUBECONFIG=(\S+)`)
)

// onFiles is a demo on files that has told its story and stays up; its policy is
// as it was before.
func onFiles(t *testing.T, width, height int) *story {
	t.Helper()
	envoy := os.Getenv("ENVOY")
	if envoy == "" {
		t.Fatal("ENVOY names no Envoy: make envoy gets one")
	}
	folder := t.TempDir()
	directory, gateway := "", ""
	run(t, folder, func(line string) bool {
		if found := hintFiles.FindStringSubmatch(line); found != nil {
			directory = found[1]
		}
		if found := hintGateway.FindStringSubmatch(line); found != nil {
			gateway = found[1]
		}
		return directory != "" && gateway != ""
	}, "--envoy", envoy, "--root", "demo")
	forget(t, filepath.Join(folder, directory, "demo.yaml"))
	// A name that reads well in the snapshots.
	if err := os.Symlink(directory, filepath.Join(folder, "shop")); err != nil {
		t.Fatal(err)
	}
	return &story{
		terminal: open(t, width, height, folder, "PATH="+bin+":"+os.Getenv("PATH")),
		command:  "kubectl-backendtls inspect -f shop", gateway: gateway,
	}
}

// forget takes the pins out of the policy in a file.
func forget(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(content), "  options:\n    backendtls.dev/pins")
	if !found {
		t.Fatalf("%s has no pins at its end", file)
	}
	if err := os.WriteFile(file+".new", []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// inCluster is the same in the cluster of a kubeconfig, beside which bin/kubectl
// is.
func inCluster(t *testing.T, kubeconfig string, width, height int) *story {
	t.Helper()
	path, own := "", ""
	run(t, "../..", func(line string) bool {
		if found := hintCluster.FindStringSubmatch(line); found != nil {
			path, own = found[1], found[2]
		}
		return path != ""
	}, "--kubeconfig", kubeconfig, "--kubectl", filepath.Join(filepath.Dir(kubeconfig), "bin", "kubectl"),
		"--root", filepath.Join(t.TempDir(), "demo"))
	kubectl := func(arguments ...string) string {
		cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(kubeconfig), "bin", "kubectl"), arguments...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+own)
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %q: %v\n%s", arguments, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	kubectl("patch", "backendtlspolicy", "api", "--type=json", "-p", `[{"op":"remove","path":"/spec/options"}]`)
	address := kubectl("get", "gateway", "web", "-o", "jsonpath={.status.addresses[0].value}")
	return &story{
		terminal: open(t, width, height, t.TempDir(), "KUBECONFIG="+own+" PATH="+path+":"+os.Getenv("PATH")),
		command:  "kubectl backendtls inspect", gateway: "http://" + address + "/",
	}
}
