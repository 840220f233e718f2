package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/loadbalancer"
	"github.com/backendtls/backendtls/test/localcluster/internal/network"
	"github.com/backendtls/backendtls/test/localcluster/internal/node"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
	"github.com/backendtls/backendtls/test/localcluster/internal/supervisor"
)

// permission is the descriptor on which the supervisor's process waits.
const permission = 3

// permitted waits until the command that started this process has put it into
// the cluster's control group. If the command ends before that, nobody would
// find the process, and it must end too.
func permitted() error {
	pipe := os.NewFile(permission, "permission")
	defer func() { _ = pipe.Close() }()
	if _, err := pipe.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("up ended before the supervisor began: %w", err)
	}
	return nil
}

// Supervise is the supervisor's process: it must have been started in mount and
// network namespaces of its own. It returns when it is told to end.
func Supervise(ctx context.Context, dir string) error {
	if err := permitted(); err != nil {
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
