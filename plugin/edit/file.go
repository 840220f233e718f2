package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/backendtls/backendtls/internal/manifest"
)

// File is one file to be written, with the content that it had when the
// change was shown.
type File struct {
	Path string
	// Before is what was read; nil for a file that must not exist yet.
	Before []byte
	After  []byte
}

// Write puts After in place of Before in every file, or leaves all of them as
// they are: it refuses before the first is replaced if one cannot be written or
// is not as it was when the change was shown. Nobody ever reads half of a file.
// Where that fails behind the first, the error is an ErrWritten.
func Write(files []File) error {
	var staged []*staging
	defer func() {
		for _, one := range staged {
			one.discard()
		}
	}()
	for _, file := range files {
		if bytes.Equal(file.Before, file.After) {
			continue
		}
		one, err := file.stage()
		if err != nil {
			return nothingWritten(err)
		}
		staged = append(staged, one)
	}
	for _, one := range staged {
		if err := one.unchanged(); err != nil {
			return nothingWritten(err)
		}
	}
	for i, one := range staged {
		switch err := one.commit(); {
		case err != nil && i == 0:
			return nothingWritten(err)
		case err != nil:
			return Written(fmt.Errorf("only %s was written: %w", staged[i-1].file.Path, err))
		}
	}
	return nil
}

func nothingWritten(err error) error { return fmt.Errorf("nothing was written: %w", err) }

// staging is a file that is written beside the one that it will replace.
type staging struct {
	file File
	// path is where the content goes: behind a link, so that the link stays one.
	path string
	// temporary has a hidden name, which whoever watches the directory skips.
	temporary string
}

// stage writes the content, with the mode and the owner of the file it replaces.
func (f File) stage() (*staging, error) {
	s := &staging{file: f, path: f.Path}
	var old fs.FileInfo
	if f.Before != nil {
		var err error
		if s.path, err = filepath.EvalSymlinks(f.Path); err != nil {
			return nil, manifest.Explain(f.Path, err)
		}
		if old, err = writable(s.path); err != nil {
			return nil, manifest.Explain(f.Path, err)
		}
	}
	temporary, err := os.CreateTemp(filepath.Dir(s.path), ".backendtls-*")
	if err != nil {
		return nil, manifest.Explain(f.Path, err)
	}
	s.temporary = temporary.Name()
	mode := fs.FileMode(0o644)
	if old != nil {
		mode = old.Mode().Perm()
		keepOwner(temporary, old)
	}
	_, writeErr := temporary.Write(f.After)
	if err := errors.Join(writeErr, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		s.discard()
		return nil, manifest.Explain(f.Path, err)
	}
	return s, nil
}

// writable refuses a file that its owner does not want to be written: replacing
// it by rename would not ask.
func writable(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o222 == 0 {
		return nil, errors.New("is read-only")
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return info, file.Close()
}

// unchanged refuses if the file is not as it was when the change was shown.
func (s *staging) unchanged() error {
	if s.file.Before == nil {
		if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists by now; %w", s.file.Path, ErrChanged)
		}
		return nil
	}
	now, err := os.ReadFile(s.path)
	switch {
	case err != nil:
		return manifest.Explain(s.file.Path, err)
	case !bytes.Equal(now, s.file.Before):
		return fmt.Errorf("%s has changed since the change was shown; %w", s.file.Path, ErrChanged)
	default:
		return nil
	}
}

// commit replaces the file. A new one is linked, not renamed, so that one that
// came into being just now is not replaced.
func (s *staging) commit() error {
	if s.file.Before == nil {
		switch err := os.Link(s.temporary, s.path); {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return fmt.Errorf("%s exists by now; %w", s.file.Path, ErrChanged)
		}
		// This file system has no links.
	}
	if err := os.Rename(s.temporary, s.path); err != nil {
		return manifest.Explain(s.file.Path, err)
	}
	return nil
}

// discard removes what is left beside the file.
func (s *staging) discard() { _ = os.Remove(s.temporary) }
