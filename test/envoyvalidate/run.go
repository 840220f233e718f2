package envoyvalidate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
)

// patience is how long Envoy may take to start, or to write a line.
const patience = time.Minute

// Running is an Envoy that serves until the test ends.
type Running struct {
	admin          *http.Client
	pid            int
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
	return Start(tb, bootstrap)
}

// Start starts Envoy on the bootstrap and waits until it serves. It ends with
// the test.
func Start(tb testing.TB, bootstrap *bootstrapv3.Bootstrap) *Running {
	tb.Helper()
	admin := bootstrap.GetAdmin().GetAddress().GetPipe().GetPath()
	running := &Running{}
	cmd := exec.CommandContext(tb.Context(), Binary(tb), "--config-path", write(tb, bootstrap),
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--file-flush-interval-msec", "50")
	cmd.Stdout, cmd.Stderr = &running.stdout, &running.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	running.pid = cmd.Process.Pid
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
	r.admin = adminClient(admin)
	Eventually(tb, "Envoy is ready", func() bool {
		select {
		case <-ended:
			tb.Fatalf("Envoy ended: %s", r.stderr.String())
		default:
		}
		status, _ := r.Ask(tb, "/ready")
		return status == http.StatusOK
	})
}

// Words are what Envoy wrote to its standard error.
func (r *Running) Words() string { return r.stderr.String() }

// Stat is a counter or a gauge, 0 if there is none of that name.
func (r *Running) Stat(tb testing.TB, name string) int {
	tb.Helper()
	_, text := r.Ask(tb, "/stats")
	for line := range strings.Lines(text) {
		if number, found := strings.CutPrefix(strings.TrimSpace(line), name+": "); found {
			value, err := strconv.Atoi(number)
			if err != nil {
				tb.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// Ask asks the admin interface; the status is 0 if it does not answer.
func (r *Running) Ask(tb testing.TB, path string) (int, string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://admin"+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	response, err := r.admin.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

func adminClient(socket string) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport, Timeout: patience}
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
