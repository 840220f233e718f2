package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
)

const (
	// longestPause bounds the pause between two starts.
	longestPause = 30 * time.Second
	// stable is how long an Envoy must have run for its end to count as the
	// first one again.
	stable = 10 * time.Second
	// patience is how long an Envoy has between SIGTERM and SIGKILL; it needs
	// some milliseconds.
	patience = 2 * time.Second
	// flushInterval is how long Envoy may keep access log lines to itself.
	flushInterval = 200 * time.Millisecond
	// drainTime is how long Envoy keeps a listener that xDS removed while its
	// requests end.
	drainTime = 5 * time.Second
)

// unit is one Gateway: its directory, its xDS socket, its Envoy.
type unit struct {
	fleet *Fleet
	key   gwapi.Key
	dir   string
	log   *slog.Logger
}

func (f *Fleet) newUnit(key gwapi.Key, dir string) *unit {
	return &unit{fleet: f, key: key, dir: dir, log: f.config.Log.With("gateway", key.String())}
}

// run keeps the Gateway's Envoy running until ctx ends, and returns when it is
// drained, stopped and reaped.
func (u *unit) run(ctx context.Context) {
	pause, last := u.fleet.config.Backoff, ""
	for ctx.Err() == nil {
		began := time.Now()
		err := u.once(ctx)
		if err == nil {
			return
		}
		if time.Since(began) >= stable {
			pause, last = u.fleet.config.Backoff, ""
		}
		// The same fault again and again is one line, not a line each.
		level := slog.LevelError
		if err.Error() == last {
			level = slog.LevelDebug
		}
		last = err.Error()
		u.log.Log(ctx, level, "envoy is not running, starting it again", "error", err, "pause", pause.String())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// once opens the Gateway's xDS socket and starts its Envoy. It ends when ctx
// does (nil), or when Envoy or the serving of the socket ends by itself (an
// error); in any case nothing is left then.
func (u *unit) once(ctx context.Context) (err error) {
	if err := os.Mkdir(u.dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(u.dir)) }()
	listener, err := u.listen(ctx)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- u.fleet.config.Serve(u.key, listener) }()
	err = u.attend(ctx, served)
	// Whatever ended it, the socket goes only after Envoy is gone. An error of
	// closing says that it is closed already.
	_ = listener.Close()
	<-served // it ended because the listener is closed, or attend has said why
	return err
}

// attend runs one Envoy. served receives when its socket is no longer served.
func (u *unit) attend(ctx context.Context, served chan error) error {
	c, err := u.spawn(ctx)
	if err != nil {
		return err
	}
	log := u.log.With("envoy", c.name)
	log.Info("envoy started", "admin", u.path(adminSocket))
	select {
	case <-c.reaped:
		return fmt.Errorf("envoy ended: %s", c.fate())
	case err := <-served:
		served <- err
		u.stop(ctx, c)
		return fmt.Errorf("xDS socket is no longer served: %w", err)
	case <-ctx.Done():
		u.stop(ctx, c)
		log.Info("envoy stopped", "fate", c.fate())
		return nil
	}
}

// stop drains the child and ends it. It takes its time although ctx has ended.
func (u *unit) stop(ctx context.Context, c *child) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		select {
		case <-c.reaped:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := u.fleet.config.Drain(ctx, u.path(adminSocket)); err != nil && ctx.Err() == nil {
		u.log.Warn("envoy is stopped with requests in flight", "envoy", c.name, "error", err)
	}
	c.terminate(patience)
}

// spawn starts Envoy with a fresh bootstrap.
func (u *unit) spawn(ctx context.Context) (*child, error) {
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapConfig{
		NodeID:      "envoy",
		NodeCluster: u.key.NamespacedName().String(),
		XDSSocket:   u.path(xdsSocket),
		AdminSocket: u.path(adminSocket),
		Connections: connections(),
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(u.path(bootstrapFile), bootstrap, 0o600); err != nil {
		return nil, err
	}
	config := u.fleet.config
	// The child outlives ctx: it is drained then.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), config.Envoy,
		"--config-path", u.path(bootstrapFile),
		"--disable-hot-restart",
		"--concurrency", strconv.Itoa(config.Concurrency),
		"--log-level", config.LogLevel,
		"--log-format", logFormat,
		"--drain-strategy", "immediate",
		"--drain-time-s", strconv.Itoa(int(drainTime.Seconds())),
		"--file-flush-interval-msec", strconv.Itoa(int(flushInterval.Milliseconds())),
	)
	cmd.Env = config.Env
	cmd.Dir = u.dir
	return u.fleet.start(context.WithoutCancel(ctx), u.key, cmd, u.log)
}

func (u *unit) listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", u.path(xdsSocket))
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(u.path(xdsSocket), 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// path is a name in the Gateway's directory.
func (u *unit) path(name string) string { return filepath.Join(u.dir, name) }
