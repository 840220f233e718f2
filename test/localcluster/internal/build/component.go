package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// component is a module with programs of the cluster. Each has a module of its
// own, because their requirements differ.
type component struct {
	// name is the directory of the module below the components' directory.
	name string
	// source is the module whose version is told; empty if the module is ours.
	source string
	// packages are what is built, in one go so that what they share is
	// compiled once.
	packages []string
	// programs are the names of the files that come out, as the cluster calls
	// them.
	programs []string
	// rename says which file is called otherwise by the cluster.
	rename map[string]string
	// versions are the variables that the linker sets to the version.
	versions []string
	// cgo is said where a program cannot do without C.
	cgo  bool
	tags string
	// expected is the time that a first build took on two cores.
	expected time.Duration
}

const kubernetesVersion = "k8s.io/component-base/version.gitVersion"

func components() []component {
	return []component{
		{
			name: "kubernetes", source: "k8s.io/kubernetes", expected: 6 * time.Minute,
			packages: []string{
				"k8s.io/kubernetes/cmd/kube-apiserver",
				"k8s.io/kubernetes/cmd/kube-controller-manager",
				"k8s.io/kubernetes/cmd/kube-proxy",
				"k8s.io/kubernetes/cmd/kube-scheduler",
				"k8s.io/kubernetes/cmd/kubectl",
				"k8s.io/kubernetes/cmd/kubelet",
			},
			programs: []string{
				"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
			},
			versions: []string{kubernetesVersion},
		},
		{
			name: "etcd", source: "go.etcd.io/etcd/server/v3", expected: 20 * time.Second,
			packages: []string{"go.etcd.io/etcd/server/v3"},
			programs: []string{"etcd"},
			rename:   map[string]string{"server": "etcd"},
		},
		{
			name: "containerd", source: "github.com/containerd/containerd/v2", expected: 90 * time.Second,
			packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			},
			programs: []string{"containerd", "containerd-shim-runc-v2", "ctr"},
			versions: []string{"github.com/containerd/containerd/v2/version.Version"},
		},
		{
			name: "runc", source: "github.com/opencontainers/runc", expected: 30 * time.Second,
			packages: []string{"github.com/opencontainers/runc"},
			programs: []string{"runc"},
			cgo:      true, tags: "seccomp",
		},
		{
			name: "cni", source: "github.com/containernetworking/plugins", expected: 10 * time.Second,
			packages: []string{
				"github.com/containernetworking/plugins/plugins/ipam/host-local",
				"github.com/containernetworking/plugins/plugins/main/loopback",
				"github.com/containernetworking/plugins/plugins/main/ptp",
			},
			programs: []string{"host-local", "loopback", "ptp"},
		},
		{
			name: "coredns", source: "github.com/coredns/coredns", expected: time.Minute,
			packages: []string{"."},
			programs: []string{"coredns"},
		},
		{
			name: "pause", expected: 5 * time.Second,
			packages: []string{"."},
			programs: []string{"pause"},
		},
	}
}

// key changes whenever something else would be built: versions, packages,
// flags, or the source where it is ours.
func (c component) key(sources, goVersion string) (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, goVersion, c.packages, c.versions, c.cgo, c.tags)
	directory := filepath.Join(sources, c.name)
	entries, err := os.ReadDir(directory)
	if err != nil {
		return "", fmt.Errorf("component %s: %w", c.name, err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") && name != "go.mod" && name != "go.sum" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			return "", fmt.Errorf("component %s: %w", c.name, err)
		}
		_, _ = fmt.Fprintln(hash, name, len(content))
		_, _ = hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// version is the version of the component's source that its go.mod requires.
func (c component) version(sources string) (string, error) {
	if c.source == "" {
		return "", nil
	}
	content, err := os.ReadFile(filepath.Join(sources, c.name, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("component %s: %w", c.name, err)
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == c.source {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("component %s: its go.mod requires no %s", c.name, c.source)
}

// built says whether all programs are in the directory.
func (c component) built(directory string) bool {
	for _, program := range c.programs {
		if _, err := os.Stat(filepath.Join(directory, program)); errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
