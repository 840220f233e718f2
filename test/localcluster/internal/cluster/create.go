package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/build"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
)

// create makes the cluster where nothing is.
func (c *Cluster) create(ctx context.Context, programs build.Programs, wanted *netip.Prefix) error {
	if err := os.MkdirAll(c.home.Path("logs"), 0o755); err != nil {
		return err
	}
	if err := c.install(programs.Paths); err != nil {
		return err
	}
	addresses, err := c.link.Claim(wanted)
	if err != nil {
		return err
	}
	plan := part.Plan{Addresses: addresses, Group: c.group.Name, Builds: programs.Keys}
	if err := plan.WriteCredentials(c.home, time.Now()); err != nil {
		return err
	}
	if err := plan.Save(c.home); err != nil {
		return err
	}
	c.say("starting a cluster in %s (addresses %s)", c.home.Dir, addresses.Range)
	pid, err := c.supervise(ctx)
	if err != nil {
		return err
	}
	if err := c.link.Connect(pid, addresses); err != nil {
		return err
	}
	if err := c.start(ctx, plan); err != nil {
		return err
	}
	content, err := os.ReadFile(c.home.Path(part.AdminKubeconfig))
	if err != nil {
		return err
	}
	return c.home.Write(filepath.Base(c.home.Kubeconfig()), content, 0o600)
}

// install links the programs into the directory, so that the cluster does not
// mind when the build cache is removed.
func (c *Cluster) install(programs map[string]string) error {
	if err := os.MkdirAll(c.home.Bin(), 0o755); err != nil {
		return err
	}
	for name, source := range programs {
		target := filepath.Join(c.home.Bin(), name)
		if err := os.Link(source, target); err == nil {
			continue
		}
		if err := copyProgram(source, target); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

// copyProgram serves where the cache is on another file system.
func copyProgram(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// supervise starts the supervisor in namespaces and a session of its own and
// waits until it answers. It outlives this command.
func (c *Cluster) supervise(ctx context.Context) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	log, err := os.OpenFile(c.home.Log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(self, "supervise", "--dir", c.home.Dir)
	command.Stdout, command.Stderr = log, log
	command.Dir = "/"
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	if err := c.begin(command); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		_, err := c.client.List(ctx)
		if err == nil {
			return command.Process.Pid, nil
		}
		select {
		case <-ended:
			return 0, fmt.Errorf("the supervisor ended: %s", c.words())
		case <-ctx.Done():
			return 0, fmt.Errorf("the supervisor does not answer: %w; its log: %s", err, c.words())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// begin starts the supervisor's process, puts it into the control group, and
// only then lets it do something: see permitted.
func (c *Cluster) begin(command *exec.Cmd) error {
	wait, permit, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = wait.Close() }()
	defer func() { _ = permit.Close() }()
	command.ExtraFiles = []*os.File{wait}
	if err := c.group.Make(); err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the supervisor in namespaces of its own: %w", err)
	}
	if err := c.group.Join(command.Process.Pid); err != nil {
		return err
	}
	_, err = permit.Write([]byte{1})
	return err
}

func (c *Cluster) words() string {
	content, err := os.ReadFile(c.home.Log("supervisor"))
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// start brings the parts up, each as soon as what it needs is there.
func (c *Cluster) start(ctx context.Context, plan part.Plan) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	var first sync.Once
	var failure error
	run := func(step func() error) {
		wait.Go(func() {
			if err := step(); err != nil {
				first.Do(func() { failure = err })
				cancel(err)
			}
		})
	}
	act := func(name string) func() error {
		return func() error { return c.client.Act(ctx, "start", name) }
	}
	runtime := make(chan struct{})
	run(func() error {
		if err := act("containerd")(); err != nil {
			return err
		}
		close(runtime)
		return c.loadPause(ctx)
	})
	run(func() error {
		if err := act("etcd")(); err != nil {
			return err
		}
		if err := act("kube-apiserver")(); err != nil {
			return err
		}
		for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
			run(act(name))
		}
		run(func() error {
			select {
			case <-runtime:
				return act("kubelet")()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err := c.applyObjects(ctx, plan); err != nil {
			return err
		}
		return act("coredns")()
	})
	wait.Wait()
	if failure != nil {
		return failure
	}
	return c.nodeReady(ctx)
}
