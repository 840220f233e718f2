package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/hack/release/krew"
)

// TestAnIndexIsReadyToBeAdded is `make krew-index`: the directory becomes a
// repository that krew can clone.
func TestAnIndexIsReadyToBeAdded(t *testing.T) {
	archives, dir := packed(t, false), filepath.Join(t.TempDir(), "index")
	if output, err := release(t, "index", "-archives", archives, "-url", "http://127.0.0.1:8000/", "-dir", dir); err != nil ||
		!strings.Contains(output, "git -C "+dir+" init") {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, name := range []string{"plugins/backendtls.yaml", "README.md", "LICENSE"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "plugins/backendtls.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := krew.Check("backendtls.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Spec.Platforms {
		machine, err := p.Machine()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p.URI, "http://127.0.0.1:8000/kubectl-backendtls_"+tag+"_") {
			t.Errorf("the archive for %s is said to be at %s", machine, p.URI)
		}
		if _, err := m.Install(t.TempDir(), machine, filepath.Join(archives, p.File())); err != nil {
			t.Error(err)
		}
	}

	// What cannot be installed is not written.
	if err := os.WriteFile(filepath.Join(archives, m.Spec.Platforms[5].File()), []byte("PK"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "index")
	if output, err := release(t, "index", "-archives", archives, "-dir", other); err == nil {
		t.Errorf("an index with half an archive was written:\n%s", output)
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("%s was written (%v)", other, err)
	}
	if output, err := release(t, "index", "-archives", archives, "-url", "file://"+archives, "-dir", other); err == nil ||
		!strings.Contains(output, "by https and http only") {
		t.Errorf("an index that krew cannot download from: %v\n%s", err, output)
	}
}
