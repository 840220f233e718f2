package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/drain"
	"github.com/backendtls/backendtls/operator/endpoints"
	"github.com/backendtls/backendtls/operator/files"
	"github.com/backendtls/backendtls/operator/loop"
	"github.com/backendtls/backendtls/operator/process"
	"github.com/backendtls/backendtls/operator/xds"
)

// Standalone is the configuration of a standalone operator.
type Standalone struct {
	// Dir holds the manifests; State is where status goes, DIR/.backendtls if
	// empty.
	Dir, State string
	// Envoy is the path of the Envoy binary, or a name to look for in PATH.
	Envoy string
	// EnvoyLogLevel is one of Envoy's, warning if empty.
	EnvoyLogLevel string
	// Runtime is where sockets and bootstraps go, a fresh directory if empty.
	Runtime string
	// AllowAddresses admits spec.addresses of Gateways outside 127.0.0.0/8.
	AllowAddresses []netip.Prefix
	// AccessLog takes Envoy's access log, a JSON object per line.
	AccessLog io.Writer
	Log       *slog.Logger
}

// Run reads the directory, runs an Envoy for each Gateway in it, and returns
// once ctx has ended and every Envoy with it. An error means that it could not
// start.
func (s Standalone) Run(ctx context.Context) error {
	binary, err := process.Check(ctx, s.Envoy)
	if err != nil {
		return err
	}
	site := snapshot.Site{Standalone: true, AllowAddresses: s.AllowAddresses}
	// The authenticator needs to know the children, and the children's sockets
	// need the server: Serve closes the circle.
	var server *xds.Server
	fleet := process.New(process.Config{
		Envoy:     binary.Path,
		LogLevel:  s.EnvoyLogLevel,
		Runtime:   s.Runtime,
		AccessLog: s.AccessLog,
		Log:       s.Log,
		Serve:     func(_ gwapi.Key, listener net.Listener) error { return server.Serve(listener) },
		Drain:     s.leave,
	})
	server, err = xds.New(xds.Config{
		Authenticator: children{fleet}, Credentials: xds.UnixCredentials(), Log: s.Log, Now: time.Now,
	})
	if err != nil {
		return fmt.Errorf("xds server: %w", err)
	}
	defer server.Stop()
	paths := endpoints.New(site, server)
	source, err := files.Open(files.Config{
		Dir: s.Dir, State: s.State, Log: s.Log, Now: time.Now, Endpoints: paths,
	})
	if err != nil {
		return err
	}
	s.Log.Info("starting", "dir", s.Dir, "envoy", binary.Path, "envoyVersion", binary.Version)
	batches := loop.New(loop.Config{
		Source: source, Status: source, Fleet: fleet, Publisher: publisher{server}, Endpoints: paths,
		Site: site, Log: s.Log,
	})

	var rooms sync.WaitGroup
	var sourceErr, fleetErr error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rooms.Go(func() { defer stop(); sourceErr = source.Run(ctx) })
	rooms.Go(func() { batches.Run(ctx) })
	// The fleet drains its Envoys before it returns; the server goes last.
	rooms.Go(func() { defer stop(); fleetErr = fleet.Run(ctx) })
	rooms.Wait()
	return errors.Join(sourceErr, fleetErr)
}

// leave lets the clients of an Envoy finish. No load balancer stands before it
// that would send new ones elsewhere first, so that they are refused. A request
// that is on its way on an idle connection is answered, with the word to close.
// An Envoy that does not even answer takes no longer than one whose clients stay.
func (s Standalone) leave(ctx context.Context, adminSocket string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return drain.Envoy(ctx, drain.Config{
		Admin: adminSocket, Patience: 4500 * time.Millisecond, Settling: 300 * time.Millisecond, Closed: true,
		Log: s.Log.With("admin", adminSocket),
	})
}

// children identifies the peer of a unix socket as an Envoy that the fleet
// started, by its process id. Nobody else is served.
type children struct{ fleet *process.Fleet }

func (c children) Identify(ctx context.Context) (xds.Peer, error) {
	client, _ := peer.FromContext(ctx)
	if client == nil {
		return xds.Peer{}, errors.New("connection without a peer")
	}
	process, unix := client.AuthInfo.(xds.UnixPeer)
	if !unix {
		return xds.Peer{}, fmt.Errorf("peer is proven by %T, not by its unix socket", client.AuthInfo)
	}
	gateway, name, found := c.fleet.Lookup(process.PID)
	if !found {
		return xds.Peer{}, fmt.Errorf("process %d is no Envoy of this operator", process.PID)
	}
	return xds.Peer{Gateway: gateway, Name: name}, nil
}

// publisher gives the loop the words it knows.
type publisher struct{ *xds.Server }

func (p publisher) Publish(gateway gwapi.Key, resources envoy.Resources, shares map[gwapi.Key]string) {
	p.Server.Publish(gateway, xds.Publication{Resources: resources, Shares: shares})
}
