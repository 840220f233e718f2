package envoyvalidate

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
)

// patience is how long Envoy may take to start, or to write a line.
const patience = 20 * time.Second

// Running is an Envoy that serves static resources until the test ends.
type Running struct {
	stdout, stderr output
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Run starts Envoy on the resources and waits until it serves.
func Run(tb testing.TB, resources envoy.Resources, assignments ...*endpointv3.ClusterLoadAssignment) *Running {
	tb.Helper()
	admin := filepath.Join(tb.TempDir(), "admin.sock")
	bootstrap, err := envoytest.Static(resources, admin, assignments...)
	if err != nil {
		tb.Fatal(err)
	}
	running := &Running{}
	cmd := exec.CommandContext(tb.Context(), Binary(tb), "--config-path", write(tb, bootstrap),
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--file-flush-interval-msec", "50")
	cmd.Stdout, cmd.Stderr = &running.stdout, &running.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The error is that it was told to end.
		_ = cmd.Wait()
	}()
	tb.Cleanup(func() { <-ended })
	running.await(tb, admin, ended)
	return running
}

// await asks the admin interface until Envoy is ready.
func (r *Running) await(tb testing.TB, admin string, ended <-chan struct{}) {
	tb.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", admin)
		},
		DisableKeepAlives: true,
	}
	client := &http.Client{Transport: transport, Timeout: time.Second}
	Eventually(tb, "Envoy is ready", func() bool {
		select {
		case <-ended:
			tb.Fatalf("Envoy ended: %s", r.stderr.String())
		default:
		}
		request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://admin/ready", nil)
		if err != nil {
			tb.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
}

// Logged waits for a line of the access log and returns its fields.
func (r *Running) Logged(tb testing.TB, match func(line map[string]any) bool) map[string]any {
	tb.Helper()
	var found map[string]any
	Eventually(tb, "the access log has the line", func() bool {
		for line := range bytes.Lines([]byte(r.stdout.String())) {
			var fields map[string]any
			if err := json.Unmarshal(line, &fields); err == nil && match(fields) {
				found = fields
				return true
			}
		}
		return false
	})
	return found
}

// Eventually fails the test unless what is awaited comes true.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("still not: %s", what)
		}
		<-tick.C
	}
}
