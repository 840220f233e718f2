package drain

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// tick is the pause between two looks at the open connections.
	tick = 100 * time.Millisecond
	// settling is how long connections without a request are left open: a client
	// that uses one of them in that time is answered, and told to close it.
	settling = 10 * time.Second
)

// Config is how an Envoy is drained.
type Config struct {
	// Admin is the path of Envoy's admin socket.
	Admin string
	// Delay is how long Envoy goes on as if nothing were, while the removal of its
	// pod from the Service's endpoints gets round.
	Delay time.Duration
	// Patience is how long clients then have to leave.
	Patience time.Duration
	// Settling replaces the 10 s after which connections without a request count
	// as left; 0 for these.
	Settling time.Duration
	// Closed has Envoy refuse new connections from the beginning: there is no load
	// balancer that has to notice first.
	Closed bool
	Log    *slog.Logger
}

// Envoy lets clients leave. After Delay every response tells its client to
// connect anew ("connection: close", GOAWAY); listeners stay open unless Closed,
// because a connection may still be sent here. It returns once nobody is
// connected, or nobody has a request open for some time; an error says what is
// cut off when Envoy ends now.
func Envoy(ctx context.Context, config Config) error {
	if config.Settling == 0 {
		config.Settling = settling
	}
	admin := newAdmin(config.Admin)
	defer admin.close()
	if err := pause(ctx, config.Delay); err != nil {
		return err
	}
	if err := admin.drain(ctx, config.Closed); err != nil {
		return err
	}
	config.Log.Info("draining", "delay", config.Delay.String(), "patience", config.Patience.String())
	began, busy := time.Now(), time.Now()
	for {
		open, err := admin.open(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if open.requests > 0 {
			busy = now
		}
		switch {
		case open.connections == 0:
			config.Log.Info("drained", "after", now.Sub(began).String())
			return nil
		case now.Sub(busy) >= config.Settling:
			config.Log.Info("drained but for idle connections", "after", now.Sub(began).String(),
				"connections", open.connections)
			return nil
		case now.Sub(began) >= config.Patience:
			return fmt.Errorf("%d requests on %d connections did not end within %s",
				open.requests, open.connections, config.Patience)
		}
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
