package tui

import (
	"bufio"
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

// programs are built once for all tests.
var programs = sync.OnceValues(func() (string, error) {
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
			return bin, err
		}
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := programs(); err == nil {
		_ = os.RemoveAll(bin)
	}
	os.Exit(code)
}

// demo is a demo that has told its story and stays up.
type demo struct {
	bin string
	// directory holds the files, below folder; gateway is where the Gateway serves.
	folder, directory, gateway string
}

var (
	hintFiles   = regexp.MustCompile(`kubectl-backendtls inspect svc/api -f (\S+)`)
	hintGateway = regexp.MustCompile(`curl -i (http://\S+)`)
)

// play starts the demo and waits until it stays up.
func play(t *testing.T) *demo {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	envoy := os.Getenv("ENVOY")
	if envoy == "" {
		t.Fatal("ENVOY names no Envoy: make envoy gets one")
	}
	d := &demo{bin: bin, folder: t.TempDir()}
	read, write := io.Pipe()
	cmd := exec.Command(filepath.Join(bin, "demo"), "--bin", bin, "--envoy", envoy, "--keep", "--root", "demo")
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.folder, write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ending sync.WaitGroup
	ending.Go(func() {
		_ = cmd.Wait()
		_ = write.Close()
	})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		ending.Wait()
	})
	d.listen(t, read, &ending)
	return d
}

// listen reads what the demo says until it has said how to go on.
func (d *demo) listen(t *testing.T, output io.Reader, ending *sync.WaitGroup) {
	t.Helper()
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if found := hintFiles.FindStringSubmatch(lines.Text()); found != nil {
			d.directory = found[1]
		}
		if found := hintGateway.FindStringSubmatch(lines.Text()); found != nil {
			d.gateway = found[1]
		}
		if d.directory != "" && d.gateway != "" {
			ending.Go(func() { _, _ = io.Copy(io.Discard, output) })
			return
		}
	}
	t.Fatalf("the demo does not stay up:\n%s", said.String())
}

// forget takes the pins out of the policy, as it was before the demo.
func (d *demo) forget(t *testing.T) {
	t.Helper()
	file := filepath.Join(d.folder, d.directory, "demo.yaml")
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
