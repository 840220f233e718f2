package home

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Inside is where the cluster's parts find the directory. It is short, because
// the path of a unix socket may have 107 bytes at most, and no clone's depth
// may break a cluster.
const Inside = "/run/cluster"

// lockFile keeps commands apart, and tells a cluster's directory from others.
const lockFile = "lock"

// Home is the directory of one cluster.
type Home struct {
	// Dir is absolute and free of symbolic links.
	Dir string
}

// At returns the home at dir, which need not exist; its parent must.
func At(dir string) (Home, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, fmt.Errorf("cluster directory %q: %w", dir, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return Home{}, fmt.Errorf("cluster directory %q: its parent: %w", dir, err)
	}
	resolved := filepath.Join(parent, filepath.Base(absolute))
	if info, err := os.Lstat(resolved); err == nil && !info.IsDir() {
		return Home{}, fmt.Errorf("cluster directory %q is there and is no directory", dir)
	}
	return Home{Dir: resolved}, nil
}

// Hash tells clusters on one machine apart: eight hexadecimal digits.
func (h Home) Hash() string {
	sum := sha256.Sum256([]byte(h.Dir))
	return hex.EncodeToString(sum[:4])
}

// Path is a path below the directory, as the host sees it.
func (h Home) Path(elements ...string) string {
	return filepath.Join(append([]string{h.Dir}, elements...)...)
}

// Within is a path below the directory, as the cluster's parts see it.
func Within(elements ...string) string {
	return filepath.Join(append([]string{Inside}, elements...)...)
}

// Kubeconfig is the administrator's kubeconfig.
func (h Home) Kubeconfig() string { return h.Path("kubeconfig") }

// Bin holds the programs of the cluster, and kubectl.
func (h Home) Bin() string { return h.Path("bin") }

// Log is the log of one part.
func (h Home) Log(part string) string { return h.Path("logs", part+".log") }

// Write puts a file below the directory in one step. It makes the directories
// that lead to it.
func (h Home) Write(name string, content []byte, mode os.FileMode) error {
	path := h.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return nil
}

// Exists says whether the directory is there.
func (h Home) Exists() bool {
	_, err := os.Lstat(h.Dir)
	return err == nil
}

// Lock keeps other commands off the cluster until the returned function is
// called. It makes the directory, and waits; wait is called once if it has to.
func (h Home) Lock(wait func()) (unlock func(), err error) {
	for {
		if err := os.MkdirAll(h.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("cluster directory: %w", err)
		}
		file, err := os.OpenFile(h.Path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Removed in between by the command that held the lock.
		}
		if err != nil {
			return nil, fmt.Errorf("lock the cluster: %w", err)
		}
		if err := lock(file, wait); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		}
		if h.holds(file) {
			return func() { _ = file.Close() }, nil
		}
		_ = file.Close()
	}
}

// holds says whether the locked file is still the one in the directory: the
// command that held the lock before may have removed the cluster.
func (h Home) holds(file *os.File) bool {
	locked, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(h.Path(lockFile))
	return err == nil && os.SameFile(locked, named)
}

func lock(file *os.File, wait func()) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	wait()
	for {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Check refuses a directory that holds something else than a cluster, because
// a cluster's directory is removed with everything in it.
func (h Home) Check() error {
	entries, err := os.ReadDir(h.Dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cluster directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == lockFile {
			return nil
		}
	}
	return fmt.Errorf("%s holds something else than a cluster: remove it, or name another directory", h.Dir)
}

// Clear removes everything in the directory but its lock. What the mount
// namespace of the last process held ends a moment after it, so it is tried
// until the context ends.
func (h Home) Clear(ctx context.Context) error {
	for {
		err := h.clear()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("clear the cluster's directory: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (h Home) clear() error {
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(h.Path(entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes the directory and its lock, after Clear.
func (h Home) Remove() error { return os.RemoveAll(h.Dir) }
