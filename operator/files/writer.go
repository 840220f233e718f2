package files

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// beingWritten says whether some process has the file open for writing: then
// it may be half written, however long it has been quiet. Linux grants a read
// lease only while nobody has (fcntl(2), F_SETLEASE). Where leases cannot be
// had, because the file is somebody else's or on a file system without them,
// the answer is no.
func beingWritten(path string) bool {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	// Given back at once: a writer that comes now waits for it.
	_, _ = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return false
}
