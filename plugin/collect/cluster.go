package collect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// ClusterConfig says how a cluster is read.
type ClusterConfig struct {
	// Client reads from the API server. It knows Scheme's types and Mapper's
	// resources.
	Client client.Reader
	// Source names the cluster for people, such as "context dev".
	Source string
	// Namespace is the one that the verb is about, and the one to fall back to
	// where a person may not list in all.
	Namespace string
	// AllNamespaces says that the verb is about every namespace.
	AllNamespaces bool
	// SystemRoots says that the verb may make a policy that trusts the system's
	// roots. They are read then, although no policy asks for them yet: without
	// them nobody knows what the Gateways will say to it.
	SystemRoots bool
	// Timeout bounds everything that is read; 0 leaves that to the context.
	Timeout time.Duration
	// Now is the time at which modes and dates are judged. It is asked once, after
	// the first answers came, so that it may be the API server's.
	Now func() time.Time
	// Progress, if not nil, is told what is read; never by two goroutines at once.
	Progress func(what string)
}

// ErrNoGatewayAPI is returned for a cluster that serves no kind of Gateway API.
var ErrNoGatewayAPI = errors.New("this cluster has no Gateway API: no kind of gateway.networking.k8s.io is served. " +
	"Whoever runs the cluster installs it with its Gateway controller, or with `" + InstallGatewayAPI + "`")

// InstallGatewayAPI is the command that installs the Gateway API.
const InstallGatewayAPI = "kubectl apply --server-side -f " +
	"https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.7.0/standard-install.yaml"

// Cluster reads from an API server what Build needs: lists in all namespaces
// where the person may, else in the one of the config, and by name what those
// refer to. What may not be read is in Snapshot.Unseen and in Warnings, and
// never an error. Secrets are not read at all. Where only one namespace is
// asked for, ConfigMaps and EndpointSlices are read for the Services that it
// has to do with.
func Cluster(ctx context.Context, config ClusterConfig) (*World, error) {
	if config.Timeout > 0 {
		bounded, cancel := context.WithTimeout(ctx, config.Timeout)
		defer cancel()
		ctx = bounded
	}
	c := newCollector(config)
	if err := c.listAll(ctx); err != nil {
		return nil, c.explain(ctx, err)
	}
	if c.lacksGatewayAPI() {
		return nil, ErrNoGatewayAPI
	}
	now := config.Now()
	for {
		snap := c.snapshot()
		snap.Now = now
		world := newWorld(snap)
		world.Source, world.live, world.Warnings, world.missing = config.Source, true, c.warnings(), c.missing()
		pending := c.pending(world)
		if len(pending) == 0 {
			if err := c.readNeighbours(ctx, world); err != nil {
				return nil, c.explain(ctx, err)
			}
			return world, nil
		}
		if err := c.readAll(ctx, pending); err != nil {
			return nil, c.explain(ctx, err)
		}
	}
}

// explain names the cluster, and says which time is over where it is this
// config's.
func (c *collector) explain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && c.config.Timeout > 0 {
		return fmt.Errorf("%s did not answer everything within %s (--request-timeout allows more): %w",
			c.config.Source, c.config.Timeout, err)
	}
	if request, is := errors.AsType[*url.Error](err); is && ctx.Err() == nil {
		if request.Timeout() {
			return fmt.Errorf("%s did not answer within --request-timeout: %w", c.config.Source, request.Err)
		}
		return fmt.Errorf("cannot reach %s: %w", c.config.Source, request.Err)
	}
	return fmt.Errorf("reading %s: %w", c.config.Source, err)
}

// Live says whether the World was read from an API server.
func (w *World) Live() bool { return w.live }

// Hidden says whether objects of the kind in the namespace could not be read,
// and why.
func (w *World) Hidden(kind gwapi.Kind, namespace string) (reason string, hidden bool) {
	return w.Snapshot.Hidden(kind, namespace)
}

// Replacing is the World of a cluster as it would be with these objects, each
// in place of the one of its kind and name. Nothing is read again.
func (w *World) Replacing(objects ...client.Object) *World {
	snap := *w.Snapshot
	for _, object := range objects {
		place(&snap, object)
	}
	world := newWorld(&snap)
	world.neighbours = w.neighbours
	world.Source, world.live, world.Warnings, world.missing = w.Source, w.live, w.Warnings, w.missing
	return world
}

// emptySet is the Set of a World without files.
func emptySet() *manifest.Set {
	set, _ := manifest.Parse(nil)
	return set
}

// newWorld is what Build makes of a snapshot, with everything that leads to
// the ports of its Services.
func newWorld(snap *snapshot.Snapshot) *World {
	world := &World{Snapshot: snap, Set: emptySet()}
	world.build()
	return world
}
