package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/internal/manifest"
)

// locks are what keeps a second operator away: one on the directory of the
// manifests itself, whatever state directory is used, and one on the state.
// They are flock(2) locks, which end with the process however it ends, so that
// nothing stale can remain.
type locks struct{ files []*os.File }

// lockFile holds the pid of the operator that locked it last.
const lockFile = "lock"

// acquire takes both, and prepares the state directory in between.
func acquire(dir, state string) (locks, error) {
	var held locks
	handle, err := os.Open(dir)
	if err != nil {
		return held, dirError(dir, err)
	}
	held.files = append(held.files, handle)
	if err := flock(handle); errors.Is(err, unix.EWOULDBLOCK) {
		pid := owner(handle)
		if pid == 0 {
			pid = readPID(filepath.Join(manifest.StateDir(dir), lockFile))
		}
		return locks{}, errors.Join(inUse("--dir "+dir, pid, "or name another directory"), held.release())
	}
	// Any other error: a file system that cannot lock directories. The lock of
	// the state remains.
	if err := prepareState(state); err != nil {
		return locks{}, errors.Join(err, held.release())
	}
	path := filepath.Join(state, lockFile)
	// A link in its place would have the pid written over what it points to.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return locks{}, errors.Join(stateError(state, err), held.release())
	}
	held.files = append(held.files, file)
	if err := flock(file); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = inUse("state "+state, readPID(path), "or name another directory with --state PATH")
		} else {
			err = stateError(state, err)
		}
		return locks{}, errors.Join(err, held.release())
	}
	if err := writePID(file); err != nil {
		return locks{}, errors.Join(stateError(state, err), held.release())
	}
	return held, nil
}

func (l *locks) release() error {
	var errs []error
	for _, file := range l.files {
		errs = append(errs, file.Close())
	}
	l.files = nil
	return errors.Join(errs...)
}

func flock(file *os.File) error {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func inUse(what string, pid int, instead string) error {
	who := "another process"
	if pid != 0 {
		who = fmt.Sprintf("another operator (pid %d)", pid)
	}
	return fmt.Errorf("%s: %s is at work on it; stop that one first, %s", what, who, instead)
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readPID is 0 if the file names none.
func readPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

// owner finds the process that holds a lock on the file in /proc/locks
// (proc_locks(5)); 0 if it is not there, as with a process of another
// container.
func owner(file *os.File) int {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return 0
	}
	table, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer func() { _ = table.Close() }()
	text, err := io.ReadAll(table)
	if err != nil {
		return 0
	}
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for line := range strings.Lines(string(text)) {
		// 1: FLOCK  ADVISORY  WRITE 1234 08:01:131074 0 EOF
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != id {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
