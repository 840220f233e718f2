package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// requirement is something that the system must have.
type requirement struct {
	what string
	// packages is what Debian calls it.
	packages string
	met      func(ctx context.Context) bool
}

func program(name string) func(context.Context) bool {
	return func(context.Context) bool {
		_, err := exec.LookPath(name)
		return err == nil
	}
}

// Missing says in one error what the running cluster lacks on this system.
func Missing(ctx context.Context) error {
	return report(ctx, []requirement{
		{"nft (kube-proxy's rules)", "nftables", program("nft")},
		{"mount (the kubelet's volumes)", "mount", program("mount")},
	})
}

// missing says what building these components lacks.
func missing(ctx context.Context, jobs []job) error {
	var requirements []requirement
	for _, job := range jobs {
		if job.cgo {
			requirements = []requirement{
				{"a C compiler (runc)", "gcc libc6-dev", program("gcc")},
				{"pkg-config (runc)", "pkg-config", program("pkg-config")},
				{"libseccomp's headers (runc)", "libseccomp-dev", func(ctx context.Context) bool {
					return exec.CommandContext(ctx, "pkg-config", "--exists", "libseccomp").Run() == nil
				}},
			}
		}
	}
	return report(ctx, requirements)
}

func report(ctx context.Context, requirements []requirement) error {
	var what, packages []string
	for _, requirement := range requirements {
		if !requirement.met(ctx) {
			what = append(what, requirement.what)
			packages = append(packages, requirement.packages)
		}
	}
	if len(what) == 0 {
		return nil
	}
	return fmt.Errorf("this system lacks %s (Debian: apt-get install %s)",
		strings.Join(what, ", "), strings.Join(packages, " "))
}

// Root says why the cluster needs root, if the caller is not.
func Root() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return errors.New("a local cluster needs root: it makes network and mount namespaces, a link and a route to them, " +
		"and control groups for its containers; nothing outside the clone is changed otherwise")
}
