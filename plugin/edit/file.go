package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is one file to be written, with the content that it had when the
// change was shown.
type File struct {
	Path string
	// Before is what was read; nil for a file that must not exist yet.
	Before []byte
	After  []byte
}

// Write puts After in place, by a rename, so that nobody ever reads half of
// it. It refuses if the file is not as it was when the change was shown.
func (f File) Write() error {
	path, err := f.target()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if f.Before != nil {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Path, err)
		}
		mode = info.Mode().Perm()
	}
	// A hidden name is skipped by whoever watches the directory.
	temporary, err := os.CreateTemp(filepath.Dir(path), ".backendtls-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, writeErr := temporary.Write(f.After)
	if err := errors.Join(writeErr, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	if err := f.unchanged(path); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	return nil
}

// target follows a link, so that the link stays one.
func (f File) target() (string, error) {
	if f.Before == nil {
		return f.Path, nil
	}
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", f.Path, err)
	}
	return path, nil
}

func (f File) unchanged(path string) error {
	now, err := os.ReadFile(path)
	switch {
	case f.Before == nil && errors.Is(err, fs.ErrNotExist):
		return nil
	case f.Before == nil && err == nil:
		return fmt.Errorf("%s exists already: it would be overwritten; move it, or choose another --policy-name", f.Path)
	case err != nil:
		return fmt.Errorf("writing %s: %w", f.Path, err)
	case !bytes.Equal(now, f.Before):
		return fmt.Errorf("%s changed since the change was shown: nothing was written, run the command again", f.Path)
	default:
		return nil
	}
}
