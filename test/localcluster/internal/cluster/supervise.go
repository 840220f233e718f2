package cluster

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/cgroup"
	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/loadbalancer"
	"github.com/backendtls/backendtls/test/localcluster/internal/network"
	"github.com/backendtls/backendtls/test/localcluster/internal/node"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
	"github.com/backendtls/backendtls/test/localcluster/internal/supervisor"
)

// Supervise is the supervisor's process: it must have been started in mount and
// network namespaces of its own. It returns when it is told to end.
func Supervise(ctx context.Context, dir string) error {
	// Before anything else, so that it is found again whatever happens.
	group, err := cgroup.Named(home.Home{Dir: dir}.Hash())
	if err != nil {
		return err
	}
	if err := group.Join(os.Getpid()); err != nil {
		return err
	}
	if err := group.Make(); err != nil {
		return err
	}
	// The terminal that it was started from may go.
	signal.Ignore(unix.SIGHUP)
	if err := node.Mount(dir); err != nil {
		return err
	}
	if err := network.Forward(); err != nil {
		return err
	}
	plan, err := part.Load(home.Inside)
	if err != nil {
		return err
	}
	snapshotter, err := node.Snapshotter()
	if err != nil {
		return err
	}
	if err := plan.WriteFiles(snapshotter); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() {
		err := loadbalancer.Run(ctx, home.Within("kubeconfigs", "load-balancer"), plan.LoadBalancers(), log)
		if err != nil {
			log.Error("load balancer addresses", "error", err)
		}
	})
	return supervisor.NewServer(plan).Serve(ctx)
}
