package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
)

const (
	// grace is how long a part has to end after it was asked to.
	grace = 10 * time.Second
	// patience is how long a part has to become healthy.
	patience = 60 * time.Second
)

// process is a part that may be running.
type process struct {
	part part.Part

	mu      sync.Mutex
	command *exec.Cmd
	done    chan struct{} // Closed when the command has ended.
	started time.Time
	frozen  bool
	ended   string // How the last one ended.
}

// start starts the part unless it runs.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil
	}
	log, err := os.OpenFile(home.Within("logs", p.part.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("log of %s: %w", p.part.Name, err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(home.Within("bin", p.part.Name), p.part.Arguments...)
	command.Dir = home.Inside
	command.Env = environment()
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.part.Name, err)
	}
	p.command, p.done, p.started, p.frozen, p.ended = command, make(chan struct{}), time.Now(), false, ""
	go p.wait(command, p.done)
	return nil
}

// environment is the same for all parts, whoever made the cluster.
func environment() []string {
	return []string{
		"PATH=" + home.Within("bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + home.Inside,
		"LANG=C",
	}
}

func (p *process) wait(command *exec.Cmd, done chan struct{}) {
	// How it ended is in the process state, whatever the error.
	_ = command.Wait()
	p.mu.Lock()
	p.ended = command.ProcessState.String()
	p.mu.Unlock()
	close(done)
}

// running must be called with the lock held.
func (p *process) running() bool {
	if p.command == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// errStopped is the error of a part that does not run.
var errStopped = errors.New("does not run")

// signal sends to the part and returns what is closed at its end; the error is
// errStopped if it does not run.
func (p *process) signal(signal unix.Signal) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil, fmt.Errorf("%s %w", p.part.Name, errStopped)
	}
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("send %v to %s: %w", signal, p.part.Name, err)
	}
	if signal == unix.SIGSTOP || signal == unix.SIGCONT {
		p.frozen = signal == unix.SIGSTOP
	}
	return p.done, nil
}

// stop asks the part to end, and makes it if it takes too long.
func (p *process) stop(ctx context.Context) error {
	if err := p.thaw(); err != nil {
		return err
	}
	done, err := p.signal(unix.SIGTERM)
	if errors.Is(err, errStopped) {
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-time.After(grace):
	case <-ctx.Done():
	}
	return p.kill()
}

// kill ends the part at once, as a crash would.
func (p *process) kill() error {
	done, err := p.signal(unix.SIGKILL)
	if errors.Is(err, errStopped) {
		return nil
	}
	if err == nil {
		<-done
	}
	return err
}

// freeze lets the part hang: its connections stay open and nobody answers.
func (p *process) freeze() error {
	_, err := p.signal(unix.SIGSTOP)
	return err
}

func (p *process) thaw() error {
	if _, err := p.signal(unix.SIGCONT); err != nil && !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// healthy waits until the part works.
func (p *process) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		reason := p.check(ctx)
		if reason == nil {
			return nil
		}
		if status := p.status(); !status.Running {
			return fmt.Errorf("%s ended (%s): %s", p.part.Name, status.Ended, p.lastWords())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not become healthy in %s: %w; its log ends: %s",
				p.part.Name, patience, reason, p.lastWords())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lastWords are the last lines of the part's log.
func (p *process) lastWords() string {
	content, err := os.ReadFile(home.Within("logs", p.part.Name+".log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// Status is what is known of a part.
type Status struct {
	Name    string    `json:"name"`
	Running bool      `json:"running"`
	Frozen  bool      `json:"frozen,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// Ended says how it ended, if it does not run and did once.
	Ended string `json:"ended,omitempty"`
	// Healthy says whether it works; Reason why not.
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
}

// checked is the status with the answer to whether the part works.
func (p *process) checked(ctx context.Context) Status {
	status := p.status()
	if !status.Running {
		return status
	}
	if err := p.check(ctx); err != nil {
		status.Reason = err.Error()
	} else {
		status.Healthy = true
	}
	return status
}

// status is what is known without asking.
func (p *process) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := Status{Name: p.part.Name, Running: p.running(), Ended: p.ended}
	if status.Running {
		status.PID, status.Started, status.Frozen = p.command.Process.Pid, p.started, p.frozen
	}
	return status
}
