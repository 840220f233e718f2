package node

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
)

// Snapshotter tries whether this kernel and file system can lay one directory
// over another, and names the snapshotter of containerd that works in either
// case. It must run in the cluster's mount namespace.
func Snapshotter() (string, error) {
	directory, err := os.MkdirTemp(home.Inside, ".overlay-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(directory, name), 0o755); err != nil {
			return "", err
		}
	}
	options := "lowerdir=" + directory + "/lower,upperdir=" + directory + "/upper,workdir=" + directory + "/work"
	merged := filepath.Join(directory, "merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		// Copies take more space and time, and work everywhere.
		return "native", os.RemoveAll(directory)
	}
	if err := unix.Unmount(merged, 0); err != nil {
		return "", err
	}
	return "overlayfs", os.RemoveAll(directory)
}
