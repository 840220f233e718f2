package probe

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// term is the time of leading from an election to its end.
type term struct {
	prober *Prober
	// wake has the scheduler look again.
	wake    chan struct{}
	targets map[place]*target
	// tenants are the namespaces that have targets, and turns is how many turns they
	// had.
	tenants map[string]*tenant
	turns   uint64
	// running is how many are asked just now.
	running int
	// permitted is when the rate permits another one to begin.
	permitted time.Time
	// swept is when it was last looked for what has become old.
	swept time.Time
	// late says that the log was told that the rate is too low.
	late bool

	workers sync.WaitGroup
}

// beginTerm starts from nothing: what another replica found is in the statuses,
// and stays there until this one knows better.
func (p *Prober) beginTerm() *term {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	t := &term{
		prober: p, wake: make(chan struct{}, 1), swept: now,
		targets: map[place]*target{}, tenants: map[string]*tenant{},
	}
	p.term = t
	clear(p.published)
	for _, s := range p.subjects {
		clear(s.members)
		s.waiting, s.told, s.unasked = now, time.Time{}, 0
		p.stale[s.service()] = struct{}{}
	}
	return t
}

// endTerm forgets what was found: others know better from now on.
func (p *Prober) endTerm(t *term) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term != t {
		return
	}
	p.term, p.notify = nil, time.Time{}
	clear(p.published)
	for _, s := range p.subjects {
		clear(s.members)
	}
}

// run asks endpoints until ctx ends, and returns when no handshake is under way
// any more.
func (t *term) run(ctx context.Context) {
	defer t.workers.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-timer.C:
		}
		timer.Reset(t.step(ctx))
	}
}

// step begins whatever may begin now, and says how long there is nothing to do.
func (t *term) step(ctx context.Context) time.Duration {
	p := t.prober
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term != t || ctx.Err() != nil {
		return sweep
	}
	now := time.Now()
	t.refresh(now)
	if now.Sub(t.swept) >= sweep {
		t.swept = now
		t.sweep(now)
	}
	wait := t.begin(ctx, now)
	if !p.notify.IsZero() {
		if until := p.notify.Sub(now); until > 0 {
			wait = min(wait, until)
		} else {
			p.notify = time.Time{}
			signal(p.changes)
		}
	}
	return min(wait, t.swept.Add(sweep).Sub(now))
}

// begin starts the targets that are due, within the bounds.
func (t *term) begin(ctx context.Context, now time.Time) time.Duration {
	for {
		first, wait := t.next(now)
		switch {
		case first == nil:
			return wait
		case t.permitted.After(now):
			return t.permitted.Sub(now)
		case !t.prober.config.Leading():
			t.prober.Poke() // Somebody else does from now on.
			return sweep
		}
		t.permitted = now.Add(time.Duration(float64(time.Second) / t.prober.config.Rate))
		item := first.occupy()
		item.asking, item.renewed = true, false
		t.workers.Go(func() {
			seen := t.prober.ask(ctx, item.place)
			t.finish(item, first, seen, t.judge(item, &seen))
		})
	}
}

// judge says what an outcome means to everybody who wants to know. Nobody is
// kept waiting by the arithmetic.
func (t *term) judge(item *target, seen *outcome) map[*subject]*member {
	if seen.unknown {
		return nil
	}
	t.prober.mu.Lock()
	trusts := make(map[*subject]*model.Trust, len(item.subjects))
	for s := range item.subjects {
		trusts[s] = s.trust
	}
	t.prober.mu.Unlock()
	now := time.Now()
	judged := make(map[*subject]*member, len(trusts))
	for s, trust := range trusts {
		judged[s] = seen.judge(trust, now)
	}
	return judged
}

// finish takes in what a target of a lane showed.
func (t *term) finish(item *target, of *lane, seen outcome, judged map[*subject]*member) {
	p := t.prober
	p.mu.Lock()
	defer p.mu.Unlock()
	defer of.release()
	item.asking = false
	signal(t.wake)
	if p.term != t || t.targets[item.place] != item {
		return // The term is over, or nobody wants to know any more.
	}
	now := time.Now()
	item.due = t.following(item, &seen, now)
	t.enqueue(item)
	if seen.unknown {
		return
	}
	for s := range item.subjects {
		// Whoever joined since then is told the next time, which is soon.
		if m := judged[s]; m != nil {
			s.members[item] = m
			p.consider(s, now)
		}
	}
}

// following is when a target is asked after this time. The second time comes one
// to two intervals after the first, so that what began together spreads over an
// interval, the later ones an interval and up to a tenth of it after the last.
func (t *term) following(item *target, seen *outcome, now time.Time) time.Time {
	interval := item.interval()
	first := !item.asked
	switch {
	case item.renewed:
		item.renewed = false
		return now.Add(spread(soon))
	case seen.unknown:
		return now.Add(again + spread(again))
	case seen.unreachable() && !item.suspect:
		// Not yet a verdict.
		item.suspect, seen.unknown = true, true
		return now.Add(again)
	}
	item.suspect, item.asked = seen.unreachable(), true
	if first {
		return now.Add(interval + spread(interval))
	}
	return now.Add(interval + spread(interval/10))
}

// hasten brings a target forward whose interval became shorter.
func (t *term) hasten(item *target) {
	if latest := time.Now().Add(item.interval() + spread(item.interval()/10)); item.lane != nil && item.due.After(latest) {
		item.due = latest
		t.enqueue(item)
	}
}

// spread is a random time below a bound.
func spread(bound time.Duration) time.Duration {
	if bound <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(bound))) //nolint:gosec // no secret: it keeps endpoints apart
}
