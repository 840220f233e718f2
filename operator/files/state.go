package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/backendtls/backendtls/internal/manifest"
)

// checkDir says in one line why a directory cannot be read.
func checkDir(dir string) error {
	if dir == "" {
		return errors.New("--dir: names no directory; name the one that holds the manifests")
	}
	info, err := os.Stat(dir)
	if err != nil {
		return dirError(dir, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--dir %s: is a file; name the directory it is in", dir)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return dirError(dir, err)
	}
	return nil
}

func dirError(dir string, err error) error {
	err = manifest.Explain("--dir "+dir, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; create it, or name the directory that holds the manifests", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; let uid %d read and enter it, or name another directory", err, os.Getuid())
	}
	return err
}

func stateError(state string, err error) error {
	return fmt.Errorf("%w; name a directory that can be written with --state PATH",
		manifest.Explain("state "+state, err))
}

// stateDir is where the state goes. It must not lie among the manifests, where
// statuses would be read as objects.
func stateDir(dir, state string) (string, error) {
	if state == "" {
		state = manifest.StateDir(dir)
		return state, ownDirectory(state)
	}
	inside, err := within(dir, state)
	if err != nil {
		return "", stateError(state, err)
	}
	if inside {
		return "", fmt.Errorf("--state %s: lies among the manifests in %s; name a directory elsewhere, "+
			"or one whose name begins with a dot", state, dir)
	}
	return state, nil
}

// ownDirectory refuses a symbolic link where the operator makes a directory of
// its own. One that came with the manifests, out of a repository say, would
// have files written, replaced and removed wherever it points to.
func ownDirectory(path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("state %s: is a symbolic link; remove it, or name a directory with --state PATH", path)
	}
	return nil
}

// within says whether path is dir, or lies in it where manifests are read.
func within(dir, path string) (bool, error) {
	absDir, err := resolved(dir)
	if err != nil {
		return false, err
	}
	absPath, err := resolved(path)
	if err != nil {
		return false, err
	}
	relative, err := filepath.Rel(absDir, absPath)
	if err != nil || relative != "." && !filepath.IsLocal(relative) {
		return false, nil
	}
	for element := range strings.SplitSeq(relative, string(filepath.Separator)) {
		if element != "." && strings.HasPrefix(element, ".") {
			return false, nil
		}
	}
	return true, nil
}

// resolved is the path without symbolic links, of which the last elements may
// not exist yet.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		parent, err := resolved(filepath.Dir(path))
		return filepath.Join(parent, filepath.Base(path)), err
	}
	return target, err
}

// prepareState makes the state directory: for nobody else's eyes, and out of
// reach of git.
func prepareState(state string) error {
	if err := ownDirectory(manifest.StatusDir(state)); err != nil {
		return err
	}
	for _, dir := range []string{state, manifest.StatusDir(state)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return stateError(state, err)
		}
		if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // 0700 is what a directory needs.
			return stateError(state, err)
		}
		if err := sweep(dir); err != nil {
			return stateError(state, err)
		}
	}
	ignore := filepath.Join(state, ".gitignore")
	if _, err := os.Lstat(ignore); err == nil {
		return nil
	}
	if err := replace(ignore, []byte("*\n"), false); err != nil {
		return stateError(state, err)
	}
	return nil
}

// prepareStatusDir makes the directory of statuses anew where somebody has
// removed it.
func prepareStatusDir(state string) error {
	_, err := os.Stat(manifest.StatusDir(state))
	if errors.Is(err, fs.ErrNotExist) {
		return prepareState(state)
	}
	return err
}

// temporary begins the names of files that are being written.
const temporary = ".writing-"

// sweep removes what a killed operator was writing.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), temporary) {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace writes a file by renaming: a reader sees the old content or the new.
// A durable one survives the loss of power right afterwards.
func replace(path string, data []byte, durable bool) error {
	if err := rewrite(path, data, durable); err != nil {
		return manifest.Explain(path, err)
	}
	return nil
}

func rewrite(path string, data []byte, durable bool) error {
	file, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil && durable {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // The next start sweeps it otherwise.
	}
	return err
}
