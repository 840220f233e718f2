package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// outputGrace is how long the rest of an ended Envoy's output is read. It is
// there already, unless a stranger holds the pipe open.
const outputGrace = time.Second

// child is one started Envoy.
type child struct {
	name string
	cmd  *exec.Cmd
	// reaped is closed when the process is gone; err is valid from then on.
	reaped chan struct{}
	err    error
}

// start starts cmd as an Envoy of the Gateway.
func (f *Fleet) start(ctx context.Context, gateway gwapi.Key, cmd *exec.Cmd, log *slog.Logger) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// The kernel kills Envoy when the thread that started it ends (see live),
		// which covers a SIGKILL of the operator. Nothing gentler will do: nobody
		// is left who could follow it up.
		Pdeathsig: syscall.SIGKILL,
		// A group of its own: Ctrl-C in the terminal is for the operator, which
		// then drains its Envoys.
		Setpgid: true,
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, reaped: make(chan struct{})}
	started := make(chan error)
	go f.live(gateway, c, started, func() { f.follow(ctx, c, log, stdout, stderr) })
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// live starts the process, answers on started, and stays until it is reaped.
//
// The parent-death signal of prctl(2) is sent when the parent *thread* ends,
// not the parent process, and Go ends threads as it sees fit. So the goroutine
// is locked to its thread, and the thread lives as long as the child: it waits
// in a system call.
func (f *Fleet) live(gateway gwapi.Key, c *child, started chan<- error, follow func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	name, err := f.add(gateway, func() (int, error) {
		if err := c.cmd.Start(); err != nil {
			return 0, err
		}
		return c.cmd.Process.Pid, nil
	})
	c.name = name
	started <- err
	if err != nil {
		return
	}

	followed := make(chan struct{})
	go func() {
		defer close(followed)
		follow()
	}()

	// The id is forgotten after the process has ended and before it is reaped:
	// until then the kernel gives it to nobody else, so Lookup never takes a
	// stranger for an Envoy.
	await(c.cmd.Process.Pid)
	f.remove(c.cmd.Process.Pid)
	select {
	case <-followed:
	case <-time.After(outputGrace):
	}
	c.err = c.cmd.Wait()
	<-followed // Wait closed the pipes
	close(c.reaped)
}

// await blocks until the child has ended, and leaves it to be reaped.
func await(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// follow reads what the child writes until it ends.
func (f *Fleet) follow(ctx context.Context, c *child, log *slog.Logger, stdout, stderr io.Reader) {
	log = log.With("envoy", c.name)
	var both sync.WaitGroup
	both.Go(func() { eachLine(stdout, f.access.write) })
	both.Go(func() { eachLine(stderr, func(line []byte) { relay(ctx, log, line) }) })
	both.Wait()
}

// terminate asks the child to end, and kills it if it does not within patience.
func (c *child) terminate(patience time.Duration) {
	// A child that is gone already needs no signal.
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.reaped:
		return
	case <-time.After(patience):
	}
	_ = c.cmd.Process.Signal(os.Kill)
	<-c.reaped
}

// fate says how the child ended.
func (c *child) fate() string {
	if c.err == nil {
		return "exit status 0"
	}
	if exit, ok := errors.AsType[*exec.ExitError](c.err); ok {
		return exit.String()
	}
	return fmt.Sprintf("unknown: %v", c.err)
}
