package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Builder builds the cluster's programs.
type Builder struct {
	// Sources is the directory of the component modules.
	Sources string
	// Cache keeps what is built, one directory for each state of a module.
	Cache string
	// Say tells a person how it goes, one line each.
	Say func(format string, arguments ...any)
}

// Programs are what was built.
type Programs struct {
	// Paths has the file of each program, by its name.
	Paths map[string]string
	// Keys identifies what was built, by component.
	Keys map[string]string
}

type job struct {
	component
	version, directory, key string
}

// Build returns the programs and builds those first that are not there yet.
// What is missing on the system for that is said before anything is built.
func (b Builder) Build(ctx context.Context) (Programs, error) {
	// The compiler runs in the modules' directories.
	cache, err := filepath.Abs(b.Cache)
	if err != nil {
		return Programs{}, fmt.Errorf("build cache: %w", err)
	}
	b.Cache = cache
	jobs, err := b.jobs(ctx)
	if err != nil {
		return Programs{}, err
	}
	programs := Programs{Paths: map[string]string{}, Keys: map[string]string{}}
	var todo []job
	for _, job := range jobs {
		programs.Keys[job.name] = job.key
		for _, program := range job.programs {
			programs.Paths[program] = filepath.Join(job.directory, program)
		}
		if !job.built(job.directory) {
			todo = append(todo, job)
		}
	}
	if err := missing(ctx, todo); err != nil {
		return Programs{}, err
	}
	if len(todo) == 0 {
		return programs, nil
	}
	unlock, err := b.lock()
	if err != nil {
		return Programs{}, err
	}
	defer unlock()
	return programs, b.all(ctx, todo)
}

func (b Builder) jobs(ctx context.Context) ([]job, error) {
	command := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	command.Dir = filepath.Join(b.Sources, "kubernetes")
	command.Stderr = os.Stderr
	goVersion, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go, which builds the cluster's programs: %w", err)
	}
	var jobs []job
	for _, component := range components() {
		key, err := component.key(b.Sources, strings.TrimSpace(string(goVersion)))
		if err != nil {
			return nil, err
		}
		version, err := component.version(b.Sources)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job{
			component: component, version: version, key: key,
			directory: filepath.Join(b.Cache, component.name+"-"+key, "bin"),
		})
	}
	return jobs, nil
}

// lock keeps two clusters of one clone from building the same twice.
func (b Builder) lock() (func(), error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("build cache: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(b.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("build cache: %w", err)
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock the build cache: %w", err), file.Close())
		}
		return func() { _ = file.Close() }, nil
	}
}

func (b Builder) all(ctx context.Context, jobs []job) error {
	var total time.Duration
	for _, job := range jobs {
		total += job.expected
	}
	b.Say("building the programs of the cluster: about %s on two cores, once; then they are kept", minutes(total))
	for i, job := range jobs {
		if job.built(job.directory) {
			continue // By somebody else, while the lock was waited for.
		}
		b.Say("building %s (%d of %d, about %s)",
			strings.TrimSpace(job.name+" "+job.version), i+1, len(jobs), minutes(job.expected))
		started := time.Now()
		if err := b.one(ctx, job); err != nil {
			return fmt.Errorf("build %s: %w", job.name, err)
		}
		if !job.built(job.directory) {
			return fmt.Errorf("build %s: not all of %s came out", job.name, strings.Join(job.programs, ", "))
		}
		b.Say("built %s in %s", job.name, time.Since(started).Round(time.Second))
	}
	return nil
}

// one builds into a directory beside the last one and renames it: whoever finds
// the directory finds all of it.
func (b Builder) one(ctx context.Context, job job) error {
	target := filepath.Dir(job.directory)
	if err := b.clear(job.name); err != nil {
		return err
	}
	temporary := filepath.Join(b.Cache, "."+job.name)
	if err := os.MkdirAll(filepath.Join(temporary, "bin"), 0o755); err != nil {
		return err
	}
	if err := b.compile(ctx, job, filepath.Join(temporary, "bin")); err != nil {
		return errors.Join(err, os.RemoveAll(temporary))
	}
	for from, to := range job.rename {
		if err := os.Rename(filepath.Join(temporary, "bin", from), filepath.Join(temporary, "bin", to)); err != nil {
			return err
		}
	}
	return os.Rename(temporary, target)
}

// clear removes what other versions and interrupted builds have left.
func (b Builder) clear(name string) error {
	stale, err := filepath.Glob(filepath.Join(b.Cache, name+"-*"))
	if err != nil {
		return err
	}
	for _, directory := range append(stale, filepath.Join(b.Cache, "."+name)) {
		if err := os.RemoveAll(directory); err != nil {
			return fmt.Errorf("remove an older build: %w", err)
		}
	}
	return nil
}

func (b Builder) compile(ctx context.Context, job job, out string) error {
	flags := []string{"-s", "-w"}
	for _, variable := range job.versions {
		flags = append(flags, "-X", variable+"="+job.version)
	}
	arguments := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", strings.Join(flags, " "), "-o", out + "/"}
	if job.tags != "" {
		arguments = append(arguments, "-tags", job.tags)
	}
	command := exec.CommandContext(ctx, "go", append(arguments, job.packages...)...)
	command.Dir = filepath.Join(b.Sources, job.name)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if job.cgo {
		command.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	// It ends with this command, however that ends.
	command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGINT}
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	reason := b.follow(output)
	if err := command.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, reason)
	}
	return nil
}

// follow says twice a minute how many packages are compiled, from the lines
// that go build -v prints, and returns the lines that are no package: they are
// the reason if the build fails.
func (b Builder) follow(output io.Reader) string {
	var compiled atomic.Int64
	started, done := time.Now(), make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(30 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				b.Say("  %s, %d packages compiled", time.Since(started).Round(time.Second), compiled.Load())
			}
		}
	}()
	var reason strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := lines.Text()
		if line != "" && !strings.ContainsAny(line, " \t:") {
			compiled.Add(1)
		} else if !strings.HasPrefix(line, "go: downloading ") && reason.Len() < 4000 {
			reason.WriteString(line + "\n")
		}
	}
	return strings.TrimSpace(reason.String())
}

func minutes(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	}
	if whole := int(d.Round(time.Minute).Minutes()); whole > 1 {
		return fmt.Sprintf("%d minutes", whole)
	}
	return "1 minute"
}
