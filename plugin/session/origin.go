package session

import (
	"context"
	"fmt"
	"time"

	"github.com/backendtls/backendtls/plugin/collect"
)

// origin is where Worlds come from, again and again.
type origin interface {
	// world is what there is now, at the cost of what has changed.
	world(ctx context.Context) (*collect.World, error)
	// events are what was told about the policies and Gateways of a world, which is
	// the one that world gave last.
	events(ctx context.Context, world *collect.World) []Event
	// changes gets a value when world may answer differently.
	changes() <-chan struct{}
	// outage is why what world answers is old, nil if it is not.
	outage() *collect.Outage
	// warnings are those that are not the world's own.
	warnings() []string
	// wait waits, after its context has ended, until nothing is under way.
	wait()
}

// open begins to follow the files or the cluster, until ctx ends.
func (s *Session) open(ctx context.Context, scope Scope) (origin, error) {
	if !s.live() {
		return &fileOrigin{session: s, directory: collect.FollowFiles(
			ctx, s.config.Filename, s.config.State, collect.UsualFilePace())}, nil
	}
	reader, err := s.config.Cluster.Watcher()
	if err != nil {
		return nil, err
	}
	return &clusterOrigin{
		session: s, scope: scope, follower: collect.NewFollower(ctx, reader, collect.UsualPace()),
		reviewer: &reviewer{session: s, asked: map[string]time.Time{}},
	}, nil
}

// fileOrigin is manifests.
type fileOrigin struct {
	session   *Session
	directory *collect.Directory
}

func (f *fileOrigin) world(context.Context) (*collect.World, error) {
	return f.directory.World(f.session.now())
}

func (f *fileOrigin) events(context.Context, *collect.World) []Event { return nil }

func (f *fileOrigin) changes() <-chan struct{} { return f.directory.Changes() }

func (f *fileOrigin) outage() *collect.Outage { return nil }

func (f *fileOrigin) warnings() []string { return nil }

func (f *fileOrigin) wait() { f.directory.Wait() }

// clusterOrigin is an API server.
type clusterOrigin struct {
	session  *Session
	scope    Scope
	follower *collect.Follower
	reviewer *reviewer
}

func (c *clusterOrigin) world(ctx context.Context) (*collect.World, error) {
	world, err := collect.Cluster(ctx, collect.ClusterConfig{
		Client: c.follower, Source: c.session.config.Cluster.Name(), Namespace: c.scope.Namespace,
		AllNamespaces: c.scope.All, Now: c.session.now,
	})
	if err == nil {
		c.reviewer.review(ctx, world, c.scope)
	}
	return world, err
}

func (c *clusterOrigin) changes() <-chan struct{} { return c.follower.Changes() }

func (c *clusterOrigin) outage() *collect.Outage { return c.follower.Outage() }

func (c *clusterOrigin) warnings() []string {
	warnings := c.follower.Warnings()
	if ahead := c.session.config.Cluster.Ahead(); ahead.Abs() >= time.Minute {
		warnings = append(warnings, skewed(ahead))
	}
	return warnings
}

func (c *clusterOrigin) wait() {
	c.reviewer.running.Wait()
	c.follower.Wait()
}

// skewed says that clocks differ.
func skewed(ahead time.Duration) string {
	return fmt.Sprintf("this machine's clock and the API server's differ by %s: times are judged by the API server's",
		ahead.Abs().Round(time.Second))
}
