package edit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/plugin/edit"
)

// listing is every name in a directory with its content, links as links.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if link, err := os.Readlink(path); err == nil {
			found[entry.Name()] = "-> " + link
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = string(content)
	}
	return found
}

func put(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreReplacedWithTheirMode(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old.yaml"), filepath.Join(dir, "new.yaml")
	put(t, old, "a: 1\n", 0o640)
	err := edit.Write([]edit.File{
		{Path: fresh, After: []byte("b: 1\n")},
		{Path: old, Before: []byte("a: 1\n"), After: []byte("a: 2\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	found := listing(t, dir)
	if len(found) != 2 || found["old.yaml"] != "a: 2\n" || found["new.yaml"] != "b: 1\n" {
		t.Errorf("files: %v", found)
	}
	for path, want := range map[string]os.FileMode{old: 0o640, fresh: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
}

func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "real.yaml")
	put(t, origin, "a: 1\n", 0o600)
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Fatal(err)
	}
	if err := edit.Write([]edit.File{{Path: link, Before: []byte("a: 1\n"), After: []byte("a: 2\n")}}); err != nil {
		t.Fatal(err)
	}
	if found := listing(t, dir); len(found) != 2 || found["real.yaml"] != "a: 2\n" || found["link.yaml"] != "-> real.yaml" {
		t.Errorf("files: %v", found)
	}
}

func TestAFileThatDoesNotChangeIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	put(t, path, "a: 1\n", 0o400)
	if err := edit.Write([]edit.File{{Path: path, Before: []byte("a: 1\n"), After: []byte("a: 1\n")}}); err != nil {
		t.Error(err)
	}
}

// TestNothingIsWrittenUnlessAllCanBe puts the fault into the second of two
// files: the first stays as it is, and nothing is left behind.
func TestNothingIsWrittenUnlessAllCanBe(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string)
		second  edit.File
		want    string
	}{
		"it changed": {
			func(t *testing.T, dir string) { put(t, filepath.Join(dir, "b.yaml"), "b: other\n", 0o600) },
			edit.File{Before: []byte("b: 1\n"), After: []byte("b: 2\n")},
			"b.yaml has changed since the change was shown",
		},
		"it is gone": {
			func(*testing.T, string) {},
			edit.File{Before: []byte("b: 1\n"), After: []byte("b: 2\n")},
			"b.yaml: no such file",
		},
		"it came into being": {
			func(t *testing.T, dir string) { put(t, filepath.Join(dir, "b.yaml"), "b: other\n", 0o600) },
			edit.File{After: []byte("b: 2\n")},
			"b.yaml exists by now",
		},
		"it is read-only": {
			func(t *testing.T, dir string) { put(t, filepath.Join(dir, "b.yaml"), "b: 1\n", 0o444) },
			edit.File{Before: []byte("b: 1\n"), After: []byte("b: 2\n")},
			"b.yaml: is read-only",
		},
		"it is a link to nowhere": {
			func(t *testing.T, dir string) {
				if err := os.Symlink("nowhere", filepath.Join(dir, "b.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			edit.File{After: []byte("b: 2\n")},
			"b.yaml exists by now",
		},
		"it is a directory": {
			func(t *testing.T, dir string) {
				if err := os.Mkdir(filepath.Join(dir, "b.yaml"), 0o700); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(dir, "b.yaml", "x"), "", 0o600)
			},
			edit.File{After: []byte("b: 2\n")},
			"b.yaml",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := filepath.Join(dir, "a.yaml")
			put(t, first, "a: 1\n", 0o600)
			test.prepare(t, dir)
			test.second.Path = filepath.Join(dir, "b.yaml")
			err := edit.Write([]edit.File{{Path: first, Before: []byte("a: 1\n"), After: []byte("a: 2\n")}, test.second})
			if err == nil || !strings.HasPrefix(err.Error(), "nothing was written: ") ||
				!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			entries, readErr := os.ReadDir(dir)
			content, _ := os.ReadFile(first)
			if readErr != nil || string(content) != "a: 1\n" || len(entries) > 2 {
				t.Errorf("%q, %d files", content, len(entries))
			}
		})
	}
}
