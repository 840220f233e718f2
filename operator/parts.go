package operator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/backendtls/backendtls/operator/health"
)

// parts are what runs at the same time, until one of them ends.
func (r *rooms) parts() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"cache":     r.cache.Start,
		"watch":     r.source.Run,
		"election":  r.election.Run,
		"authority": r.authority.Run,
		"fleet":     r.fleet.Run,
		"status":    r.status.Run,
		"events":    r.events.Run,
		"health":    r.health.Run,
		"ledger":    r.serveLedger,
		"probe":     r.probe.Run,
		"xds":       r.serveXDS,
		"loop":      r.runLoop,
		"leader":    r.followLeader,
	}
}

// runLoop decides once it is known which Envoys exist: without them status would
// say that there is no data plane.
func (r *rooms) runLoop(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-r.fleet.Ready():
		r.loop.Run(ctx)
	}
	return nil
}

// serveXDS listens once everything was decided: an Envoy that asked before
// would be told that there is nothing. It ends its streams at once, because an
// Envoy finds another replica faster than any of them would end by itself.
func (r *rooms) serveXDS(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.decided.open:
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.XDSAddress)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	r.Log.Info("serving xDS", "address", listener.Addr().String())
	r.serving.Store(true)
	ended := context.AfterFunc(ctx, r.server.Stop)
	defer ended()
	err = r.server.Serve(listener)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (r *rooms) serveLedger(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.LedgerAddress)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return r.ledger.Run(ctx, listener)
}

// followLeader has everything written anew by a replica that begins to lead,
// and the fleet's copy of the CA whenever that changes.
func (r *rooms) followLeader(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.election.Changes():
			// First of all, because the one that leads now dials the same.
			r.probe.Poke()
			r.status.Poke()
			r.fleet.Poke()
		case <-r.authority.Changes():
			r.fleet.Poke()
		}
	}
}

// checks are what a replica waits for before Envoys are sent to it.
func (r *rooms) checks() []health.Check {
	return []health.Check{
		{Name: "objects", Ready: func() error {
			if !r.source.Ready() {
				return errors.New("the objects of the cluster have not been read yet")
			}
			return nil
		}},
		{Name: "certificate authority", Ready: func() error {
			if r.authority.Bundle() == nil {
				return fmt.Errorf("no CA in Secret %s/backendtls-xds-ca yet; the leader makes it", r.Namespace)
			}
			return nil
		}},
		{Name: "xds", Ready: func() error {
			if !r.serving.Load() {
				return errors.New("not everything was decided yet, so that nothing is served")
			}
			return nil
		}},
	}
}

// collectors are the metrics of the parts.
func (r *rooms) collectors() []prometheus.Collector {
	all := slices.Concat(r.status.Collectors(), r.events.Collectors(), r.witness.Collectors(), r.streams.Collectors(),
		r.dials.Collectors())
	return append(all,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector(),
		health.Flag("backendtls_leader", "Whether this replica holds the lease and writes: 1 or 0.", r.election.Leading),
	)
}
