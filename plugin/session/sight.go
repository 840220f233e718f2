package session

import (
	"context"
	"fmt"
	"time"

	"github.com/backendtls/backendtls/plugin/collect"
)

// How often a sight is taken.
const (
	// gather is how long a change waits for others.
	gather = 100 * time.Millisecond
	// ease is how many times as long as a sight took passes before the next one, so
	// that a busy cluster costs a part of one processor only.
	ease = 3
	// mostEase bounds that: a sight may have taken long for want of answers.
	mostEase = time.Second
	// glance is the time between two looks at the clock: machines sleep, and clocks
	// are set.
	glance = 15 * time.Second
)

// Sight is what there is to see at one moment.
type Sight struct {
	// World is what was read last, nil before anything could be.
	World *collect.World
	// At is when it was true last.
	At time.Time
	// Now is the time by the clock that it is judged by.
	Now time.Time
	// Events are newest first.
	Events []Event
	// Warnings are what could not be read or watched.
	Warnings []string
	// Err is why World is old, or not there; nil if it is neither.
	Err error
}

// Follow reads, and calls see with each new sight until ctx ends, never twice at
// once. Nothing is under way any more when it returns. Where nothing has changed
// that could be read, see may be given the same again.
func (s *Session) Follow(ctx context.Context, scope Scope, see func(Sight)) {
	// What is under way ends before what it reads from is waited for.
	working, end := context.WithCancel(ctx)
	defer end()
	from, err := s.open(working, scope)
	if err != nil {
		see(Sight{Err: err, At: s.now(), Now: s.now()})
		<-ctx.Done()
		return
	}
	defer func() {
		end()
		from.wait()
	}()
	var last Sight
	for {
		forget(from.changes())
		begin := time.Now()
		last = s.look(ctx, from, last)
		if ctx.Err() != nil {
			return
		}
		see(last)
		if !s.await(ctx, from, last, time.Now().Add(min(ease*time.Since(begin), mostEase))) {
			return
		}
	}
}

// forget takes in a change that the next look covers.
func forget(changes <-chan struct{}) {
	select {
	case <-changes:
	default:
	}
}

// look takes a sight. What cannot be read leaves the last one, and says why.
func (s *Session) look(ctx context.Context, from origin, last Sight) Sight {
	world, err := from.world(ctx)
	sight := Sight{World: last.World, At: last.At, Events: last.Events, Err: err}
	if err == nil {
		sight.World, sight.At, sight.Events = world, s.now(), from.events(ctx, world)
		s.know(world)
	}
	sight.Now = s.now()
	if outage := from.outage(); outage != nil && err == nil {
		sight.Err = fmt.Errorf("reading %s: %w", world.Source, outage.Err)
		sight.At = sight.Now.Add(-time.Since(outage.Since))
	}
	if sight.At.IsZero() {
		sight.At = sight.Now
	}
	if sight.World != nil {
		sight.Warnings = append(sight.Warnings, sight.World.Warnings...)
	}
	sight.Warnings = append(append(sight.Warnings, from.warnings()...), s.notices()...)
	return sight
}

// await waits for something that makes another look worthwhile, and then for what
// else changes with it, but not before the time; false if ctx ended first.
func (s *Session) await(ctx context.Context, from origin, last Sight, notBefore time.Time) bool {
	clock := time.NewTicker(glance)
	defer clock.Stop()
	deadline := time.NewTimer(s.until(last))
	defer deadline.Stop()
	for waiting := true; waiting; {
		select {
		case <-ctx.Done():
			return false
		case <-from.changes():
			waiting = false
		case <-s.noticed:
			waiting = false
		case <-deadline.C:
			waiting = s.until(last) > 0
			deadline.Reset(s.until(last))
		case <-clock.C:
			waiting = s.until(last) > 0
		}
	}
	pause := time.NewTimer(max(gather, time.Until(notBefore)))
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-pause.C:
		return true
	}
}

// forever stands for a deadline that is not there.
const forever = 24 * time.Hour

// until is how long the same objects mean the same.
func (s *Session) until(last Sight) time.Duration {
	if last.World == nil || last.World.Result.NextDeadline.IsZero() {
		return forever
	}
	return max(0, last.World.Result.NextDeadline.Sub(s.now()))
}
