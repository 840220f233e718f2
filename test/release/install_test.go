package release

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/hack/release/krew"
	"github.com/backendtls/backendtls/hack/release/recipe"
)

const (
	root = "../.."
	tag  = "v0.0.0-test"
)

var (
	host = recipe.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
	here = krew.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH}
)

// packed makes the archives: this machine's holds the plugin if that is wanted,
// all others something smaller.
func packed(t *testing.T, plugin bool) (archives string) {
	t.Helper()
	r, err := recipe.Read(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(r.Platforms(), host) {
		t.Fatalf("nothing is released for %s", host)
	}
	small := func(_ context.Context, _ recipe.Release, platform recipe.Platform, path string) error {
		return os.WriteFile(path, []byte(platform.String()), 0o600)
	}
	archives = t.TempDir()
	made := recipe.Release{Tag: tag, Commit: time.Unix(1_790_000_000, 0)}
	if _, err := r.Make(t.Context(), root, archives, made, small, r.Platforms()...); err != nil {
		t.Fatal(err)
	}
	if !plugin {
		return archives
	}
	// The race detector would compress a program of this size for minutes.
	if output, err := release(t, "archives", "-tag", tag, "-time", strconv.FormatInt(made.Commit.Unix(), 10),
		"-dir", archives, host.String()); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return archives
}

// release runs hack/release.
func release(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "./hack/release"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath")
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// manifest renders the manifest for archives into a file.
func manifest(t *testing.T, archives string) (krew.Manifest, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := krew.Render(text, tag, krew.Archives(archives, ""))
	if err != nil {
		t.Fatal(err)
	}
	m, err := krew.Check("backendtls.yaml", rendered)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backendtls.yaml")
	if err := os.WriteFile(file, rendered, 0o600); err != nil {
		t.Fatal(err)
	}
	return m, file
}

// TestTheInstalledPluginWorks is the whole way: from the sources through the
// archive and krew's directory to a pin that makes Envoy answer.
func TestTheInstalledPluginWorks(t *testing.T) {
	archives := packed(t, true)
	m, file := manifest(t, archives)
	platform, err := m.For(here)
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(archives, platform.File())
	link, err := m.Install(t.TempDir(), here, archive)
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]string{"as krew lays it out": filepath.Dir(link)}
	if program, err := exec.LookPath("kubectl-krew"); err == nil {
		ways["by "+program] = installedByKrew(t, program, m, file, archives)
	} else {
		t.Log("no kubectl-krew is on the PATH: installed by krew's rules, not by krew itself")
	}
	others := programs(t)
	for way, bin := range ways {
		t.Run(way, func(t *testing.T) {
			k := newKubectl(t, bin)
			if got := k.run(t, "version"); !strings.HasPrefix(got, tag+" ") {
				t.Errorf("version says %q, want %s", got, tag)
			}
			if got := k.run(t, "--help"); !strings.Contains(got, "  kubectl backendtls inspect svc/api\n") {
				t.Errorf("--help does not call it kubectl backendtls:\n%s", got)
			}
			useOnADemo(t, k, bin, others)
		})
	}
}

// installedByKrew has krew itself install every archive, each into a directory
// of its own as the check of its central index does, and returns where this
// machine's is linked.
func installedByKrew(t *testing.T, program string, m krew.Manifest, manifest, archives string) (bin string) {
	t.Helper()
	for _, p := range m.Spec.Platforms {
		machine, err := p.Machine()
		if err != nil {
			t.Fatal(err)
		}
		own := t.TempDir()
		cmd := exec.CommandContext(t.Context(), program, "install",
			"--manifest="+manifest, "--archive="+filepath.Join(archives, p.File()))
		cmd.Env = append(os.Environ(), "KREW_ROOT="+own, "KREW_OS="+machine.OS, "KREW_ARCH="+machine.Arch,
			"KREW_NO_UPGRADE_CHECK=1")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("krew does not install it for %s: %v\n%s", machine, err, output)
		}
		link, err := m.Install(t.TempDir(), machine, filepath.Join(archives, p.File()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(own, "bin", filepath.Base(link))); err != nil {
			t.Errorf("krew links another program for %s than its rules say: %v", machine, err)
		}
		if machine == here {
			bin = filepath.Join(own, "bin")
		}
	}
	return bin
}

// kubectl runs `kubectl backendtls` with the plugin of a directory.
type kubectl struct {
	// program is kubectl, or else the plugin itself, which kubectl would replace
	// itself by.
	program   string
	arguments []string
	env       []string
}

func newKubectl(t *testing.T, bin string) kubectl {
	t.Helper()
	path := bin + string(os.PathListSeparator) + os.Getenv("PATH")
	// No kubeconfig of whoever runs the tests is theirs to use.
	env := append(os.Environ(), "PATH="+path, "HOME="+t.TempDir(), "KUBECONFIG="+os.DevNull)
	program, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("no kubectl is on the PATH: the plugin is started as kubectl starts it")
		return kubectl{program: filepath.Join(bin, "kubectl-backendtls"), env: env}
	}
	t.Logf("through %s", program)
	return kubectl{program: program, arguments: []string{"backendtls"}, env: env}
}

// run runs a verb that has to succeed and returns what it printed.
func (k kubectl) run(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := k.try(t, args...)
	if err != nil {
		t.Fatalf("kubectl backendtls %v: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout
}

func (k kubectl) try(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), k.program, slices.Concat(k.arguments, args)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = k.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}
