package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/test/localcluster/internal/build"
	"github.com/backendtls/backendtls/test/localcluster/internal/cgroup"
	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/network"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
	"github.com/backendtls/backendtls/test/localcluster/internal/supervisor"
)

// Cluster is the cluster of one directory, made or not.
type Cluster struct {
	home   home.Home
	group  cgroup.Group
	link   network.Link
	client *supervisor.Client
	say    func(format string, arguments ...any)
}

// In is the cluster in that directory. say tells a person how things go.
func In(dir string, say func(format string, arguments ...any)) (*Cluster, error) {
	at, err := home.At(dir)
	if err != nil {
		return nil, err
	}
	group, err := cgroup.Named(at.Hash())
	if err != nil {
		return nil, err
	}
	return &Cluster{
		home: at, group: group, link: network.LinkOf(at.Hash()), client: supervisor.NewClient(at), say: say,
	}, nil
}

// Up makes the cluster unless it is there, and starts what does not run. wanted
// is the range of addresses to take; nil takes a free one.
func (c *Cluster) Up(ctx context.Context, builder build.Builder, wanted *netip.Prefix) error {
	started := time.Now()
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	programs, err := builder.Build(ctx)
	if err != nil {
		return err
	}
	there, err := c.there(ctx)
	if err != nil {
		return err
	}
	if there {
		return c.mend(ctx, programs)
	}
	if err := c.clear(ctx); err != nil {
		return err
	}
	if err := c.create(ctx, programs, wanted); err != nil {
		return err
	}
	c.say("the cluster is up after %.1f s: KUBECONFIG=%s", time.Since(started).Seconds(), c.home.Kubeconfig())
	return nil
}

func (c *Cluster) lock() (func(), error) {
	// What runs tells whose the directory is, should the files in it not do so.
	if !c.group.Exists() && !c.link.Exists() {
		if err := c.home.Check(); err != nil {
			return nil, err
		}
	}
	return c.home.Lock(func() { c.say("waiting for another command on this cluster to end") })
}

// there says whether the cluster was made to the end and its supervisor lives.
func (c *Cluster) there(ctx context.Context) (bool, error) {
	if _, err := os.Stat(c.home.Kubeconfig()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	_, err := c.client.List(ctx)
	if errors.Is(err, supervisor.ErrAbsent) {
		c.say("the cluster's supervisor is gone: the cluster is made anew")
		return false, nil
	}
	return err == nil, err
}

// mend starts the parts that do not run.
func (c *Cluster) mend(ctx context.Context, programs build.Programs) error {
	plan, err := part.Load(c.home.Dir)
	if err != nil {
		return err
	}
	if !maps.Equal(plan.Builds, programs.Keys) {
		return fmt.Errorf("the cluster runs programs of other versions than this clone has: remove it first " +
			"(make cluster-down)")
	}
	statuses, err := c.client.List(ctx)
	if err != nil {
		return err
	}
	var mended []string
	for _, status := range statuses {
		if status.Healthy {
			continue
		}
		mended = append(mended, status.Name)
		c.say("%s does not work (%s): starting it", status.Name, Reason(status))
		if err := c.client.Act(ctx, "thaw", status.Name); err != nil {
			return err
		}
		if err := c.client.Act(ctx, "start", status.Name); err != nil {
			return err
		}
	}
	if err := c.nodeReady(ctx); err != nil {
		return err
	}
	if len(mended) == 0 {
		c.say("the cluster is up already: KUBECONFIG=%s", c.home.Kubeconfig())
	} else {
		c.say("the cluster is up again (%s): KUBECONFIG=%s", strings.Join(mended, ", "), c.home.Kubeconfig())
	}
	return nil
}

// Reason says why a part is not healthy.
func Reason(status supervisor.Status) string {
	switch {
	case status.Frozen:
		return "frozen"
	case status.Running:
		return status.Reason
	case status.Ended != "":
		return status.Ended
	}
	return "not started"
}

// Down removes everything of the cluster, whatever state it is in.
func (c *Cluster) Down(ctx context.Context) error {
	started := time.Now()
	left, err := c.remains()
	if err != nil {
		return err
	}
	if !left {
		c.say("there is no cluster in %s", c.home.Dir)
		return nil
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.clear(ctx); err != nil {
		return err
	}
	if err := c.home.Remove(); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}
	c.say("the cluster is removed after %.1f s", time.Since(started).Seconds())
	return nil
}

func (c *Cluster) remains() (bool, error) {
	processes, err := c.group.Processes()
	return len(processes) > 0 || c.group.Exists() || c.link.Exists() || c.home.Exists(), err
}

// clear ends all processes and removes all but the directory and its lock.
func (c *Cluster) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// The kubeconfig goes first: from here on there is no cluster.
	if err := os.Remove(c.home.Kubeconfig()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := c.group.Kill(ctx); err != nil {
		return err
	}
	// With the last process its namespaces go, and with them the mounts.
	if err := c.link.Remove(); err != nil {
		return err
	}
	if err := c.group.Remove(ctx); err != nil {
		return err
	}
	return c.home.Clear(ctx)
}

// Status tells the state of all parts; the error is supervisor.ErrAbsent if
// there is no cluster.
func (c *Cluster) Status(ctx context.Context) ([]supervisor.Status, error) {
	statuses, err := c.client.List(ctx)
	if errors.Is(err, supervisor.ErrAbsent) {
		return nil, c.absent()
	}
	return statuses, err
}

// Act does something to parts, see supervisor.Actions, one after the other.
func (c *Cluster) Act(ctx context.Context, action string, names []string) error {
	for _, name := range names {
		if !slices.Contains(part.Names(), name) {
			return fmt.Errorf("%q is no part of the cluster: they are %s", name, strings.Join(part.Names(), ", "))
		}
	}
	for _, name := range names {
		err := c.client.Act(ctx, action, name)
		if errors.Is(err, supervisor.ErrAbsent) {
			return c.absent()
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", action, name, err)
		}
	}
	return nil
}

func (c *Cluster) absent() error {
	return fmt.Errorf("there is no cluster in %s: %w (make cluster)", c.home.Dir, supervisor.ErrAbsent)
}
