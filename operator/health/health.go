package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The times and sizes that a client may take.
const (
	requestTimeout = 5 * time.Second
	answerTimeout  = 30 * time.Second
	// profileTimeout leaves time for the longest profile that is usual, 30 s.
	profileTimeout = 2 * time.Minute
	idleTimeout    = time.Minute
	maxHeaderBytes = 8 << 10
)

// Config is what a Server is made of.
type Config struct {
	// Health and Metrics are the addresses of /healthz and /readyz, and of
	// /metrics, such as ":8081".
	Health, Metrics string
	// Profiles is the address of /debug/pprof/, nothing if empty. It must be a
	// loopback address: profiles show what is in memory.
	Profiles string
	// Checks are all passed once the operator is ready.
	Checks []Check
	// Registry has the metrics; Collectors are added to it.
	Registry   Registry
	Collectors []prometheus.Collector
	Log        *slog.Logger
}

// Server answers on its ports.
type Server struct {
	config Config
	ports  []port
}

// port is a listener and what answers there.
type port struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// New registers the metrics and opens the ports; nobody is answered before Run.
func New(ctx context.Context, config Config) (*Server, error) {
	s := &Server{config: config}
	if err := register(config.Registry, config.Collectors); err != nil {
		return nil, err
	}
	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", alive)
	health.HandleFunc("GET /readyz", s.ready)
	scrape := http.NewServeMux()
	scrape.Handle("GET /metrics", metrics(config.Registry))
	err := errors.Join(
		s.open(ctx, "health", config.Health, health, answerTimeout),
		s.open(ctx, "metrics", config.Metrics, scrape, answerTimeout),
	)
	if config.Profiles != "" {
		err = errors.Join(err, loopback(config.Profiles))
		if err == nil {
			err = s.open(ctx, "profiles", config.Profiles, profiles(), profileTimeout)
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(
	ctx context.Context, name, address string, handler http.Handler, answer time.Duration,
) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%s port: %w", name, err)
	}
	s.ports = append(s.ports, port{name: name, listener: listener, server: &http.Server{
		Handler:           http.MaxBytesHandler(handler, 0),
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answer,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}})
	return nil
}

func (s *Server) close() {
	for _, p := range s.ports {
		_ = p.listener.Close() // Nobody was answered yet.
	}
}

// Address is where a port ("health", "metrics", "profiles") listens, nil if it
// does not.
func (s *Server) Address(name string) net.Addr {
	for _, p := range s.ports {
		if p.name == name {
			return p.listener.Addr()
		}
	}
	return nil
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failures := make([]error, len(s.ports))
	var serving sync.WaitGroup
	for i, p := range s.ports {
		serving.Go(func() {
			defer stop()
			if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
				failures[i] = fmt.Errorf("%s port: %w", p.name, err)
			}
		})
	}
	<-ctx.Done()
	for _, p := range s.ports {
		// Answers are short and nobody's work is lost with one.
		_ = p.server.Close()
	}
	serving.Wait()
	return errors.Join(failures...)
}

// loopback refuses an address that others could reach.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("profiles address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("profiles address %q: not a loopback address such as 127.0.0.1:6060", address)
	}
	return nil
}

// profiles serves what net/http/pprof has, on a mux of our own.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
