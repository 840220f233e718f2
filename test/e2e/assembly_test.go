package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/endpoints"
	"github.com/backendtls/backendtls/operator/files"
	"github.com/backendtls/backendtls/operator/loop"
	"github.com/backendtls/backendtls/operator/xds"
)

// assembly is the operator's rooms around an Envoy that the test runs itself,
// so that the control plane can end while Envoy lives, and so that a room can
// be replaced by one that misbehaves.
type assembly struct {
	w      *world
	fleet  *loner
	envoy  *exec.Cmd
	server *xds.Server
	// front is the socket that Envoy connects to; proxied says that it is not
	// the server's.
	front   string
	proxied bool
	// end stops the control plane and waits for it; kill ends the Envoy.
	end, kill func()
}

// loner is a Fleet of the one Envoy that the test runs.
type loner struct {
	mu      sync.Mutex
	gateway gwapi.Key
	name    string
	changes chan struct{}
}

func (l *loner) Put(map[gwapi.Key]model.Gateway)   {}
func (l *loner) Changes() <-chan struct{}          { return l.changes }
func (l *loner) Addresses() map[gwapi.Key][]string { return nil }
func (l *loner) Faults() map[gwapi.Key]string      { return nil }

func (l *loner) Envoys() map[gwapi.Key][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == "" {
		return nil
	}
	return map[gwapi.Key][]string{l.gateway: {l.name}}
}

// Identify knows the one Envoy by its process id.
func (l *loner) Identify(ctx context.Context) (xds.Peer, error) {
	client, _ := peer.FromContext(ctx)
	if client == nil {
		return xds.Peer{}, errors.New("no peer")
	}
	unix, _ := client.AuthInfo.(xds.UnixPeer)
	l.mu.Lock()
	defer l.mu.Unlock()
	if name := fmt.Sprintf("envoy-%d", unix.PID); name != l.name {
		return xds.Peer{}, fmt.Errorf("%s is not %s", name, l.name)
	}
	return xds.Peer{Gateway: l.gateway, Name: l.name}, nil
}

// publishes gives the loop the words it knows, as the operator does.
type publishes struct{ *xds.Server }

func (p publishes) Publish(gateway gwapi.Key, resources envoy.Resources, shares map[gwapi.Key]string) {
	p.Server.Publish(gateway, xds.Publication{Resources: resources, Shares: shares})
}

// assemble starts an Envoy and the rooms. Sink wraps the status sink.
func (w *world) assemble(sink func(loop.StatusSink) loop.StatusSink) *assembly {
	w.t.Helper()
	socket := filepath.Join(w.runtime, "xds.sock")
	return w.assembleAt(sink, socket, socket)
}

// assembleAt is assemble with an Envoy that connects to front, where somebody
// else may stand before the server.
func (w *world) assembleAt(sink func(loop.StatusSink) loop.StatusSink, socket, front string) *assembly {
	w.t.Helper()
	a := &assembly{w: w, front: front, fleet: newLoner()}
	a.start(sink, socket)
	a.proxied = front != socket
	a.run()
	return a
}

// assembleAs has no Envoy: whoever has the name connects by itself.
func (w *world) assembleAs(sink func(loop.StatusSink) loop.StatusSink, socket, name string) *assembly {
	w.t.Helper()
	a := &assembly{w: w, fleet: newLoner()}
	a.fleet.become(name)
	a.start(sink, socket)
	return a
}

// restart kills the Envoy and starts another one.
func (a *assembly) restart() {
	a.w.t.Helper()
	a.kill()
	a.run()
}

func newLoner() *loner {
	return &loner{gateway: gwapi.KeyOf(gwapi.KindGateway, "default", "web"), changes: make(chan struct{}, 1)}
}

// become says which Envoy is expected.
func (l *loner) become(name string) {
	l.mu.Lock()
	l.name = name
	l.mu.Unlock()
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// start starts the rooms, with the server on the socket.
func (a *assembly) start(sink func(loop.StatusSink) loop.StatusSink, socket string) {
	w, l := a.w, a.fleet
	w.t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	a.server, err = xds.New(xds.Config{Authenticator: l, Credentials: xds.UnixCredentials(), Log: log, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	site := snapshot.Site{Standalone: true}
	paths := endpoints.New(site, a.server)
	source, writer, parts := w.source(log, paths)
	batches := loop.New(loop.Config{
		Source: source, Status: sink(writer), Fleet: l, Publisher: publishes{a.server}, Endpoints: paths,
		Site: site, Log: log,
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var rooms sync.WaitGroup
	for _, part := range parts {
		rooms.Go(func() {
			if err := part(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	rooms.Go(func() { batches.Run(ctx) })
	rooms.Go(func() { _ = a.server.Serve(listener) })
	a.end = sync.OnceFunc(func() {
		a.server.Stop()
		stop()
		rooms.Wait()
	})
	w.t.Cleanup(a.end)
}

// source is where the objects come from and statuses go, and what runs for it.
func (w *world) source(
	log *slog.Logger, paths *endpoints.Endpoints,
) (loop.Source, loop.StatusSink, []func(context.Context) error) {
	w.t.Helper()
	if w.api != nil {
		return w.informers(log, paths)
	}
	source, err := files.Open(files.Config{Dir: w.dir, Log: log, Now: time.Now, Endpoints: paths})
	if err != nil {
		w.t.Fatal(err)
	}
	return source, source, []func(context.Context) error{source.Run}
}

// run starts the Envoy, and ends it with the test.
func (a *assembly) run() {
	w := a.w
	w.t.Helper()
	admin := filepath.Join(w.runtime, "a", "b", "admin.sock")
	if err := os.MkdirAll(filepath.Dir(admin), 0o700); err != nil {
		w.t.Fatal(err)
	}
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapConfig{
		NodeID: "test", NodeCluster: "test", XDSSocket: a.front, AdminSocket: admin, Connections: 1000,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.runtime, "bootstrap.json")
	if err := os.WriteFile(path, bootstrap, 0o600); err != nil {
		w.t.Fatal(err)
	}
	a.envoy = exec.Command(envoyPath(w.t), "-c", path, "--disable-hot-restart", "--concurrency", "2",
		"--log-level", "warning")
	a.envoy.Stdout, a.envoy.Stderr = w.access, w.log
	if err := a.envoy.Start(); err != nil {
		w.t.Fatal(err)
	}
	pid := a.envoy.Process.Pid
	if a.proxied {
		// The peer of the server is then this process.
		pid = os.Getpid()
	}
	a.fleet.become(fmt.Sprintf("envoy-%d", pid))
	a.kill = sync.OnceFunc(func() {
		_ = a.envoy.Process.Signal(syscall.SIGKILL)
		_ = a.envoy.Wait()
	})
	w.t.Cleanup(func() {
		a.kill()
		if w.t.Failed() {
			w.t.Logf("log:\n%s", tail(w.log.String(), 40))
		}
	})
}

// same is the sink as it is.
func same(sink loop.StatusSink) loop.StatusSink { return sink }

// held keeps statuses back until it is opened.
type held struct {
	loop.StatusSink

	mu     sync.Mutex
	open   bool
	latest report.Set
}

func (h *held) Put(desired report.Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = desired
	if h.open {
		h.StatusSink.Put(desired)
	}
}

// release lets the newest statuses through, and all that follow.
func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = true
	h.StatusSink.Put(h.latest)
}

// hold keeps back what comes from now on.
func (h *held) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = false
}
