package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is what sockaddr_un holds next to its terminating zero
// (unix(7): 108 bytes).
const maxSocketPath = 107

// The names in a Gateway's directory.
const (
	xdsSocket     = "xds.sock"
	adminSocket   = "admin.sock"
	bootstrapFile = "bootstrap.json"
)

// runtimeDir is a fresh directory that only this user can enter. It holds one
// numbered directory per started Gateway: numbers keep socket paths short,
// where a namespace and a name may take 316 bytes.
type runtimeDir struct {
	path string
	next int
}

// makeRuntimeDir makes the directory below parent; with parent "" below
// $XDG_RUNTIME_DIR, or the temp directory where that does not do.
func makeRuntimeDir(parent string) (*runtimeDir, error) {
	parents := []string{parent}
	if parent == "" {
		parents = []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()}
	}
	var faults []error
	for _, parent := range parents {
		if parent == "" {
			continue
		}
		dir, err := makeIn(parent)
		if err == nil {
			return dir, nil
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("no directory for Envoy's sockets (set XDG_RUNTIME_DIR or TMPDIR to one): %w",
		errors.Join(faults...))
}

func makeIn(parent string) (*runtimeDir, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	if err := trustworthy(parent); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, "backendtls-") // 0700
	if err != nil {
		return nil, err
	}
	// Room for the longest name, in a directory numbered up to six digits.
	if longest := len(filepath.Join(path, "999999", adminSocket)); longest > maxSocketPath {
		return nil, errors.Join(os.Remove(path), fmt.Errorf(
			"%s: too long: a socket in it would have a path of %d bytes, and at most %d are possible",
			parent, longest, maxSocketPath))
	}
	return &runtimeDir{path: path}, nil
}

// trustworthy refuses a directory in which another user could put something
// else in the place of ours: whoever owns it, or may write into it without the
// sticky bit, can rename what it holds.
func trustworthy(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: not a directory", dir)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be read", dir)
	}
	if owner := int(stat.Uid); owner != 0 && owner != os.Geteuid() {
		return fmt.Errorf("%s: belongs to user %d, who could replace what is in it", dir, owner)
	}
	const writable fs.FileMode = 0o022
	if info.Mode().Perm()&writable != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%s: others may write to it and it has no sticky bit", dir)
	}
	return nil
}

// claim names the directory of one more Gateway, which does not exist yet.
func (d *runtimeDir) claim() string {
	d.next++
	return filepath.Join(d.path, strconv.Itoa(d.next))
}

func (d *runtimeDir) remove() error { return os.RemoveAll(d.path) }
