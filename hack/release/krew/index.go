package krew

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteIndex writes the files of a custom index of one plugin, so that a git
// repository of them can be given to `kubectl krew index add`. A manifest with
// faults is not written; other files in dir stay.
func WriteIndex(dir, name string, manifest, readme, licence []byte) error {
	file := filepath.Join(dir, "plugins", name+".yaml")
	if _, err := Check(file, manifest); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(file, manifest, 0o644),
		os.WriteFile(filepath.Join(dir, "README.md"), readme, 0o644),
		os.WriteFile(filepath.Join(dir, "LICENSE"), licence, 0o644),
	)
}
