package process_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/drain"
	"github.com/backendtls/backendtls/operator/process"
)

var (
	web = gwapi.KeyOf(gwapi.KindGateway, "default", "web")
	api = gwapi.KeyOf(gwapi.KindGateway, "default", "api")
)

// gateways is what Put takes.
func gateways(keys ...gwapi.Key) map[gwapi.Key]model.Gateway {
	put := map[gwapi.Key]model.Gateway{}
	for _, key := range keys {
		put[key] = model.Gateway{Key: key}
	}
	return put
}

// harness is a Fleet that runs in a test.
type harness struct {
	*process.Fleet

	t       *testing.T
	log     *buffer
	access  *buffer
	sockets *sockets
	stop    context.CancelFunc
	ended   chan error
}

// run runs a Fleet with a runtime directory of its own until the test ends.
func run(t *testing.T, config process.Config) *harness {
	t.Helper()
	if config.Runtime == "" {
		config.Runtime = shortDir(t)
	}
	return runWhereItMay(t, config)
}

// runWhereItMay runs a Fleet until the test ends. The logs are the harness's,
// and so is Serve if config has none.
func runWhereItMay(t *testing.T, config process.Config) *harness {
	t.Helper()
	h := &harness{
		t: t, log: &buffer{}, access: &buffer{}, sockets: newSockets(), ended: make(chan error, 1),
	}
	config.Log = slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config.AccessLog = h.access
	if config.Serve == nil {
		config.Serve = h.sockets.serve
	}
	if config.Drain == nil {
		config.Drain = drains(10 * time.Second)
	}
	h.Fleet = process.New(config)
	ctx, stop := context.WithCancel(t.Context())
	h.stop = stop
	go func() { h.ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-h.ended // end has checked it
		if t.Failed() {
			t.Logf("log of the fleet:\n%s", h.log)
		}
	})
	return h
}

// drains lets clients leave as the standalone operator does.
func drains(patience time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, adminSocket string) error {
		return drain.Envoy(ctx, drain.Config{
			Admin: adminSocket, Patience: patience, Settling: 300 * time.Millisecond, Closed: true,
			Log: slog.New(slog.DiscardHandler),
		})
	}
}

// fake is a config whose Envoy is this test binary.
func fake(t *testing.T, behaviour string, env ...string) process.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return process.Config{
		Envoy: self, Env: append([]string{"FAKE=" + behaviour}, env...), Backoff: 20 * time.Millisecond,
	}
}

// end ends the Fleet and waits for it.
func (h *harness) end() {
	h.t.Helper()
	h.stop()
	select {
	case err := <-h.ended:
		h.ended <- err
		if err != nil {
			h.t.Fatalf("Run: %v", err)
		}
	case <-time.After(time.Minute):
		h.t.Fatal("Run did not end")
	}
}

// envoy waits until the Gateway has exactly one Envoy that is none of old, and
// gives its name and process id.
func (h *harness) envoy(gateway gwapi.Key, old ...string) (name string, pid int) {
	h.t.Helper()
	eventually(h.t, gateway.String()+" has a new Envoy", func() bool {
		names := h.Envoys()[gateway]
		if len(names) != 1 || slices.Contains(old, names[0]) {
			return false
		}
		name = names[0]
		return true
	})
	pid = pidOf(h.t, name)
	if key, called, found := h.Lookup(pid); !found || key != gateway || called != name {
		h.t.Fatalf("Lookup(%d) = %v, %q, %v; want %v, %q", pid, key, called, found, gateway, name)
	}
	return name, pid
}

// sockets are the listeners that Serve got.
type sockets struct {
	mu   sync.Mutex
	open map[gwapi.Key]string
}

func newSockets() *sockets { return &sockets{open: map[gwapi.Key]string{}} }

// serve stands in for the xDS server: it accepts and says nothing.
func (s *sockets) serve(gateway gwapi.Key, listener net.Listener) error {
	s.mu.Lock()
	s.open[gateway] = listener.Addr().String()
	s.mu.Unlock()
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		_ = connection.Close()
	}
}

// dir is the Gateway's directory. An Envoy may be known before its socket is
// served.
func (s *sockets) dir(t *testing.T, gateway gwapi.Key) (dir string) {
	t.Helper()
	eventually(t, "the socket of "+gateway.String()+" is served", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		path, served := s.open[gateway]
		dir = filepath.Dir(path)
		return served
	})
	return dir
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// count is the number of lines that contain every part.
func (b *buffer) count(parts ...string) int {
	count := 0
	for line := range strings.Lines(b.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			count++
		}
	}
	return count
}

// shortDir is a directory whose path leaves room for sockets: that of
// t.TempDir holds the name of the test.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// steadily fails the test unless it holds all the time.
func steadily(t *testing.T, duration time.Duration, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < duration; time.Sleep(5 * time.Millisecond) {
		if !holds() {
			t.Fatalf("after %s no longer: %s", time.Since(began), what)
		}
	}
}

// gone says whether the process has ended: there is none, or what is left of it
// waits to be reaped by whoever inherited it.
func gone(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}
