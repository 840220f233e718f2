package process

import (
	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/internal/envoy"
)

// spareFiles are the open files that Envoy needs besides connections.
const spareFiles = 512

// connections is how many client connections an Envoy may take at a time, so
// that it refuses the next one in order instead of running out of files. Each
// may need another one to a backend. Envoy raises its own soft limit of open
// files to the hard one, which it inherits from this process.
func connections() int64 {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return envoy.DefaultConnections
	}
	return fitting(files.Max)
}

// fitting is the number of connections for so many files; where there are very
// few of them, a quarter.
func fitting(files uint64) int64 {
	if files >= spareFiles+2*envoy.DefaultConnections {
		return envoy.DefaultConnections
	}
	all := int64(files)
	return max((all-spareFiles)/2, all/4)
}
