package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const reference = "../../docs/reference"

func TestTheReferenceIsCurrent(t *testing.T) {
	want := pages()
	found, err := os.ReadDir(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found {
		if _, known := want[entry.Name()]; !known {
			t.Errorf("docs/reference/%s is about no command: make generate", entry.Name())
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(reference, name)); err != nil || string(got) != text {
			t.Errorf("docs/reference/%s is not what --help says (%v): make generate", name, err)
		}
	}
}

func TestThePagesAreTheSameEveryTime(t *testing.T) {
	first, again := pages(), pages()
	for name := range first {
		if first[name] != again[name] {
			t.Errorf("%s differs", name)
		}
	}
	if here, err := os.Getwd(); err != nil || strings.Contains(first["README.md"], filepath.Dir(filepath.Dir(here))) {
		t.Errorf("README.md names this directory (%v)", err)
	}
}

func TestPagesOfCommandsThatAreNoMoreGo(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "forget.md")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("it is still there (%v)", err)
	}
	for _, name := range []string{"README.md", "inspect.md", "skip-verify_on.md", "skip-verify_off.md"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
