//go:build unix

package edit

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file that is about to replace another one that one's owner
// and group, as far as whoever runs this may: editing a file in place would
// not change them either.
func keepOwner(file *os.File, old fs.FileInfo) {
	if stat, known := old.Sys().(*syscall.Stat_t); known {
		_ = file.Chown(int(stat.Uid), int(stat.Gid))
	}
}
