package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
)

// covered are directories that the cluster sees empty, so that the paths below
// them that its parts expect can be made without a trace on the host.
var covered = []string{"/run", "/var/lib", "/var/log"}

// bound are the usual paths of a node and where they lead, below the cluster's
// directory. Mounts below a shared one are seen by containers.
var bound = []struct {
	path, below string
	shared      bool
}{
	{"/var/lib/kubelet", "kubelet", true},
	{"/var/lib/containerd", "containerd", true},
	{"/var/lib/cni", "cni", false},
	{"/var/log/pods", "logs/pods", false},
	{"/var/log/containers", "logs/containers", false},
}

// shared are directories in memory below which mounts are made.
var shared = []string{"/run/netns", "/run/containerd"}

// tunables are kernel settings, and the values, that the kubelet would make the
// whole host's. It is shown files that have the values already.
var tunables = map[string]string{
	"vm/overcommit_memory":     "1",
	"vm/panic_on_oom":          "0",
	"kernel/panic":             "10",
	"kernel/panic_on_oops":     "1",
	"kernel/keys/root_maxkeys": "1000000",
	// The kubelet wants 25 bytes for each key.
	"kernel/keys/root_maxbytes": "25000000",
}

// Mount makes the view in the mount namespace of this process, which must be
// its own: dir is the cluster's directory on the host.
func Mount(dir string) error {
	// Mounts that the host makes later are seen; none of ours reaches it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make the mount namespace private: %w", err)
	}
	opened, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = unix.Close(opened) }()
	for _, path := range covered {
		if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("cover %s: %w", path, err)
		}
	}
	// The directory itself may just have been covered: it is reached by what
	// was opened before.
	if err := bind(fmt.Sprintf("/proc/self/fd/%d", opened), home.Inside); err != nil {
		return err
	}
	return errors.Join(paths(), settings())
}

func paths() error {
	for _, path := range bound {
		source := home.Within(path.below)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := bind(source, path.path); err != nil {
			return err
		}
		if path.shared {
			if err := share(path.path); err != nil {
				return err
			}
		}
	}
	for _, path := range shared {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := errors.Join(bind(path, path), share(path)); err != nil {
			return err
		}
	}
	return nil
}

func settings() error {
	for name, value := range tunables {
		path := home.Within("sysctl", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(path, filepath.Join("/proc/sys", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("show a setting for /proc/sys/%s: %w", name, err)
		}
	}
	return nil
}

func bind(source, path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, path, err)
	}
	return nil
}

func share(path string) error {
	if err := unix.Mount("", path, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share %s: %w", path, err)
	}
	return nil
}
