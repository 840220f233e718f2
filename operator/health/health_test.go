package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backendtls/backendtls/operator/health"
	"github.com/backendtls/backendtls/test/leak"
	"github.com/backendtls/backendtls/test/port"
)

func TestMain(m *testing.M) {
	leak.Main(m)
}

// serve starts a server on free ports, which ends with the test.
func serve(t *testing.T, config health.Config) *health.Server {
	t.Helper()
	config.Health, config.Metrics = "127.0.0.1:0", "127.0.0.1:0"
	config.Log = slog.New(slog.DiscardHandler)
	if config.Registry == nil {
		config.Registry = prometheus.NewRegistry()
	}
	s, err := health.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return s
}

// ask sends a request and reads the answer.
func ask(t *testing.T, s *health.Server, port, method, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Address(port).String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

func TestReadinessNamesEachCheckAndWhatItWaitsFor(t *testing.T) {
	var published atomic.Bool
	s := serve(t, health.Config{Checks: []health.Check{
		{Name: "objects", Ready: func() error { return nil }},
		{Name: "configuration", Ready: func() error {
			if published.Load() {
				return nil
			}
			return errors.New("the first configuration is not published yet")
		}},
	}})
	status, body := ask(t, s, "health", http.MethodGet, "/readyz")
	want := "ready: objects\nnot ready: configuration: the first configuration is not published yet\n"
	if status != http.StatusServiceUnavailable || body != want {
		t.Errorf("answered %d %q", status, body)
	}
	if status, _ := ask(t, s, "health", http.MethodGet, "/healthz"); status != http.StatusOK {
		t.Errorf("alive is %d while it waits", status)
	}
	published.Store(true)
	if status, body := ask(t, s, "health", http.MethodGet, "/readyz"); status != http.StatusOK {
		t.Errorf("answered %d %q, but everything is there", status, body)
	}
	if status, _ := ask(t, s, "health", http.MethodHead, "/readyz"); status != http.StatusOK {
		t.Errorf("HEAD is answered %d", status)
	}
}

func TestMetricsAreReadFromPlainNumbers(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := serve(t, health.Config{Registry: registry, Collectors: []prometheus.Collector{
		health.Counter("backendtls_builds_total", "Builds.", func() float64 { return 7 }),
		health.Gauge("backendtls_envoys_count", "Envoys.", func() float64 { return 2.5 }),
		health.Flag("backendtls_leading", "Leading.", func() bool { return true }),
	}})
	status, body := ask(t, s, "metrics", http.MethodGet, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	for _, line := range []string{
		"# TYPE backendtls_builds_total counter", "backendtls_builds_total 7", "backendtls_envoys_count 2.5",
		"backendtls_leading 1",
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %q in:\n%s", line, body)
		}
	}
}

func TestNothingElseIsServedNorTaken(t *testing.T) {
	s := serve(t, health.Config{Profiles: "127.0.0.1:0"})
	for _, c := range []struct {
		port, method, path string
		want               int
	}{
		{"health", http.MethodGet, "/", 404},
		{"health", http.MethodGet, "/metrics", 404},
		{"health", http.MethodGet, "/debug/pprof/", 404},
		{"health", http.MethodGet, "/readyz/objects", 404},
		{"health", http.MethodPost, "/readyz", 405},
		{"health", http.MethodDelete, "/healthz", 405},
		{"metrics", http.MethodGet, "/", 404},
		{"metrics", http.MethodGet, "/healthz", 404},
		{"metrics", http.MethodGet, "/debug/pprof/heap", 404},
		{"metrics", http.MethodPut, "/metrics", 405},
		{"profiles", http.MethodGet, "/debug/pprof/goroutine?debug=1", 200},
		{"profiles", http.MethodGet, "/metrics", 404},
	} {
		if status, _ := ask(t, s, c.port, c.method, c.path); status != c.want {
			t.Errorf("%s %s on the %s port is answered %d, want %d", c.method, c.path, c.port, status, c.want)
		}
	}
}

func TestProfilesAreServedToNobodyElse(t *testing.T) {
	for _, address := range []string{":6060", "0.0.0.0:6060", "10.0.0.1:6060", "[::]:6060", "localhost:6060", "6060"} {
		_, err := health.New(t.Context(), health.Config{
			Health: "127.0.0.1:0", Metrics: "127.0.0.1:0", Profiles: address, Registry: prometheus.NewRegistry(),
			Log: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			t.Errorf("%s is accepted", address)
		}
	}
	s := serve(t, health.Config{})
	if s.Address("profiles") != nil {
		t.Error("profiles are served without being asked for")
	}
}

func TestAPortThatIsTakenIsAnErrorThatNamesItAndLeavesNoneOpen(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := fmt.Sprintf("127.0.0.1:%d", port.Free(t))
	_, err = health.New(t.Context(), health.Config{
		Health: address, Metrics: taken.Addr().String(), Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "metrics port") {
		t.Fatalf("the error is %v", err)
	}
	again, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatalf("the other port is still open: %v", err)
	}
	again.Close()
}

func TestAMetricThatIsRegisteredTwiceIsAnError(t *testing.T) {
	zero := func() float64 { return 0 }
	_, err := health.New(t.Context(), health.Config{
		Health: "127.0.0.1:0", Metrics: "127.0.0.1:0", Registry: prometheus.NewRegistry(),
		Log:        slog.New(slog.DiscardHandler),
		Collectors: []prometheus.Collector{health.Counter("a_total", "A.", zero), health.Counter("a_total", "A.", zero)},
	})
	if err == nil {
		t.Error("it is not")
	}
}

func TestAClientThatIsSlowOrTalksTooMuchIsCutOff(t *testing.T) {
	s := serve(t, health.Config{})
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Address("health").String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	header := "GET /readyz HTTP/1.1\r\nHost: a\r\nX-Long: " + strings.Repeat("a", 64<<10)
	if _, err := io.WriteString(connection, header+"\r\n\r\n"); err != nil {
		return // Cut off while it was writing.
	}
	answer, _ := io.ReadAll(connection)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431") {
		t.Errorf("a header of 64 KiB is answered %q", answer)
	}
}
