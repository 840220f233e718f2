package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// build builds the programs as `make build` does, without C.
func build(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	for name, pkg := range map[string]string{
		"backendtls-operator": "cmd/operator",
		"kubectl-backendtls":  "cmd/kubectl-backendtls",
		"demo":                "hack/demo",
	} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
			"-o", filepath.Join(bin, name), "github.com/backendtls/backendtls/"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", pkg, err, output)
		}
	}
	return bin
}

// TestTheDemoTellsItsStory runs two demos at once, as two people would on one
// machine.
func TestTheDemoTellsItsStory(t *testing.T) {
	bin := build(t)
	root := filepath.Join(t.TempDir(), "demo")
	var both sync.WaitGroup
	outputs := make([]bytes.Buffer, 2)
	errs := make([]error, len(outputs))
	for i := range outputs {
		both.Go(func() {
			cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "demo"),
				"--bin", bin, "--envoy", envoyPath(t), "--root", root)
			cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
			errs[i] = cmd.Run()
		})
	}
	both.Wait()
	want := []string{
		"client got 503", "client got 200", "client got 503", "refused (exit 1), nothing written",
		"client got 200", "client got 503", "client got 200",
	}
	for i := range outputs {
		var got []string
		for line := range strings.Lines(outputs[i].String()) {
			if _, result, found := strings.Cut(line, "=> "); found {
				got = append(got, strings.TrimSpace(result))
			}
		}
		if errs[i] != nil || !slices.Equal(got, want) {
			t.Errorf("a demo ended with %v and showed %q, want %q:\n%s", errs[i], got, want, outputs[i].String())
		}
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the demos left %s behind (%v)", root, err)
	}
	if left := processes(t, root); len(left) > 0 {
		t.Errorf("the demos left processes behind: %q", left)
	}
}

// processes lists the command lines that name the directory.
func processes(t *testing.T, directory string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, file := range files {
		// A process that ends meanwhile has no file any more.
		if content, err := os.ReadFile(file); err == nil && bytes.Contains(content, []byte(directory)) {
			list = append(list, string(bytes.ReplaceAll(content, []byte{0}, []byte(" "))))
		}
	}
	return list
}
