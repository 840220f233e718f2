package xds

import (
	"log/slog"
	"sync"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// gateway is all that is served to, and known of, the Envoys of one Gateway.
// What is below mu is under it; no method blocks while holding it.
type gateway struct {
	key     gwapi.Key
	log     *slog.Logger
	now     func() time.Time
	changed func()
	// start runs the publisher, once.
	start func(*gateway)
	// kick has a value when the publisher should look again: it was asked for
	// something, or an Envoy answered, came or went.
	kick chan struct{}
	// done is closed when the Gateway is forgotten or the server stops.
	done chan struct{}

	mu sync.Mutex
	// closed says that this is no entry of the server any more.
	closed  bool
	caches  [kinds]*cache
	streams map[*stream]struct{}
	envoys  map[string]*record
	// asked counts the publications asked for.
	asked uint64
	// pending is the newest publication that was not begun.
	pending *job
	// epoch changes with every withdrawal, which ends the publication under way.
	epoch uint64
	// published says that a publication was begun: before that nothing is sent.
	published bool
	// wanted are the clusters of the publication begun last, also those that
	// were refused.
	wanted map[string]*item
	// refused are the resources that an Envoy, or newItem, refused, until their
	// content changes.
	refused map[resourceID]refusal
	// goal is what Settled is measured by, nil while a publication has phases to
	// go.
	goal *goal
}

func (s *Server) newGateway(key gwapi.Key) *gateway {
	g := &gateway{
		key:     key,
		log:     s.config.Log.With("gateway", key.String()),
		now:     s.config.Now,
		changed: s.changed,
		start:   func(g *gateway) { s.workers.Go(g.run) },
		kick:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		streams: make(map[*stream]struct{}),
		envoys:  make(map[string]*record),
		refused: make(map[resourceID]refusal),
	}
	for k := range kinds {
		g.caches[k] = newCache(k)
	}
	return g
}

// with does something to the entry of a Gateway, made if there is none. What
// is done returns false when that entry was just closed, and is done again to
// the next one. After Stop nothing is done.
func (s *Server) with(key gwapi.Key, do func(*gateway) bool) {
	for {
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			return
		}
		g := s.gateways[key]
		if g == nil {
			g = s.newGateway(key)
			s.gateways[key] = g
		}
		s.mu.Unlock()
		if do(g) {
			return
		}
	}
}

// progress makes the publisher look again.
func (g *gateway) progress() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// assign serves the assignment.
func (g *gateway) assign(made *item) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	made.since = g.asked
	g.caches[assignments].set(made)
	return true
}

// attach opens a stream of the peer. An Envoy has one; an older one, whose end
// was not noticed yet, is ended. It returns nil after Stop.
func (s *Server) attach(peer Peer) *stream {
	var st *stream
	s.with(peer.Gateway, func(g *gateway) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.closed {
			return false
		}
		r := g.envoys[peer.Name]
		if r == nil {
			r = newRecord(peer.Name)
			g.envoys[peer.Name] = r
		}
		if r.stream != nil {
			r.stream.end(errReplaced)
		}
		st = &stream{
			gateway: g, peer: peer, record: r,
			wake: make(chan struct{}, 1), done: make(chan struct{}),
		}
		r.stream = st
		g.streams[st] = struct{}{}
		return true
	})
	if st != nil {
		s.changed()
	}
	return st
}

// detach takes the stream out of the Gateway. What the Envoy held it still
// holds: it may serve on without us.
func (st *stream) detach() {
	st.gateway.mu.Lock()
	defer st.gateway.mu.Unlock()
	st.end(nil)
}

// end detaches the stream and makes converse return reason. The lock is held.
func (st *stream) end(reason error) {
	if st.detached {
		return
	}
	st.detached, st.reason = true, reason
	close(st.done)
	for _, s := range st.subscriptions {
		if s != nil {
			s.end()
		}
	}
	g := st.gateway
	delete(g.streams, st)
	if st.record.stream == st {
		st.record.stream = nil
	}
	g.progress()
	g.changed()
}

// gone drops the entry of an Envoy that ended.
func (g *gateway) gone(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.envoys[name]
	if r == nil {
		return
	}
	if r.stream != nil {
		r.stream.end(errGone)
	}
	delete(g.envoys, name)
	for id := range r.rejections {
		g.forgive(id)
	}
}

// retireIfUnused closes an entry that only streams made and that has none
// left, such as of an Envoy that outlived its Gateway.
func (g *gateway) retireIfUnused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked > 0 || len(g.envoys) > 0 || len(g.caches[assignments].items) > 0 {
		return false
	}
	g.shut(errForgotten)
	return true
}

// close ends the streams and the publisher.
func (g *gateway) close(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut(reason)
}

// shut is close with the lock held.
func (g *gateway) shut(reason error) {
	if g.closed {
		return
	}
	g.closed = true
	close(g.done)
	for st := range g.streams {
		st.end(reason)
	}
}
