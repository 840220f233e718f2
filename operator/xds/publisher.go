package xds

import (
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// How long a phase waits for its ACKs before the next one goes on without.
const (
	// patience is for phases whose delay costs nothing but freshness.
	patience = time.Second
	// patienceTrust is for publications that end a trust: the routes move on,
	// and a cluster that is not warm yet answers 500.
	patienceTrust = 300 * time.Millisecond
	// patienceNewer is how long the clusters of a publication are waited for
	// while a newer one is pending, which then takes over.
	patienceNewer = 100 * time.Millisecond
)

// job is a publication that was asked for.
type job struct {
	number      uint64
	publication Publication
}

// ask makes p the publication to be begun next.
func (g *gateway) ask(p Publication) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	if g.asked == 0 {
		g.start(g)
	}
	g.asked++
	g.pending = &job{number: g.asked, publication: p}
	g.progress()
	return true
}

// take is the publication to begin now, nil if there is none.
func (g *gateway) take() (*job, uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	j := g.pending
	g.pending = nil
	return j, g.epoch
}

// run publishes until the Gateway is closed. What it was asked for while it
// was busy has become one publication.
func (g *gateway) run() {
	// clustersBy is when the routes go on at the latest, also if newer
	// publications keep adding clusters. Zero outside of the first phase.
	var clustersBy time.Time
	for {
		j, epoch := g.take()
		if j != nil {
			clustersBy = g.attempt(j, epoch, clustersBy)
			continue
		}
		select {
		case <-g.kick:
		case <-g.done:
			return
		}
	}
}

// attempt is publish, whose panic costs this publication only.
func (g *gateway) attempt(j *job, epoch uint64, clustersBy time.Time) (left time.Time) {
	defer func() {
		if fault := recover(); fault != nil {
			g.log.Error("publishing panicked", "panic", fault, "stack", string(debug.Stack()))
		}
	}()
	return g.publish(newPlan(j, epoch), clustersBy)
}

// publish takes the Envoys from what is served to what is planned, in phases
// of which each waits for the ACKs of the one before: new clusters; listeners
// and routes; the removal of the clusters that were left; the removal of their
// endpoints. So no route names a cluster that is not there, and no cluster goes
// while a route names it. It returns clustersBy if a newer publication took
// over in the first phase.
func (g *gateway) publish(p *plan, clustersBy time.Time) time.Time {
	targets, wait, ok := g.addClusters(p)
	if !ok {
		return time.Time{}
	}
	begun := time.Now()
	if clustersBy.IsZero() || begun.Add(wait).Before(clustersBy) {
		clustersBy = begun.Add(wait)
	}
	acked := func() bool { return g.clustersAcked(targets[clusters]) }
	switch g.await(p, clustersBy, begun.Add(patienceNewer), acked) {
	case aborted:
		return time.Time{}
	case overtaken:
		return clustersBy
	case settled, late:
	}
	if targets, ok = g.moveTraffic(p); !ok {
		return time.Time{}
	}
	begun = time.Now()
	acked = func() bool { return g.trafficAcked(targets) }
	if g.await(p, begun.Add(wait), begun.Add(patienceTrust), acked) == aborted {
		return time.Time{}
	}
	if targets, ok = g.removeClusters(p); !ok {
		return time.Time{}
	}
	begun = time.Now()
	acked = func() bool { return g.clustersAcked(targets[clusters]) }
	if g.await(p, begun.Add(patience), begun, acked) != aborted {
		g.removeEndpoints(p)
	}
	return time.Time{}
}

// outcome is how a wait ended.
type outcome int

const (
	settled   outcome = iota // every live stream acknowledged
	late                     // the time was up
	overtaken                // a newer publication is pending, and its time was up
	aborted                  // a withdrawal or the end of the Gateway ended the publication
)

// await waits until ready, at most until limit, and while a newer publication
// is pending at most until hurry.
func (g *gateway) await(p *plan, limit, hurry time.Time, ready func() bool) outcome {
	for {
		done, newer, dead := g.look(p, ready)
		switch {
		case dead:
			return aborted
		case done:
			return settled
		}
		deadline, then := limit, late
		if newer && hurry.Before(limit) {
			deadline, then = hurry, overtaken
		}
		wait := time.Until(deadline)
		if wait <= 0 {
			return then
		}
		select {
		case <-g.kick:
		case <-time.After(wait):
		case <-g.done:
			return aborted
		}
	}
}

func (g *gateway) look(p *plan, ready func() bool) (done, newer, dead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return ready(), g.pending != nil, g.closed || g.epoch != p.epoch
}

// clustersAcked says whether every live stream acknowledged the clusters, which
// Envoy does when they are warm. A stream that did not ask yet has no route
// either.
func (g *gateway) clustersAcked(target uint64) bool {
	for st := range g.streams {
		if s := st.subscriptions[clusters]; s != nil && s.position() < target {
			return false
		}
	}
	return true
}

// trafficAcked says whether every live stream that serves acknowledged the
// listeners and routes.
func (g *gateway) trafficAcked(targets [kinds]uint64) bool {
	for st := range g.streams {
		s := st.subscriptions[listeners]
		if s == nil {
			continue
		}
		if s.position() < targets[listeners] {
			return false
		}
		// The routes of a listener that was refused may never be asked for.
		if !g.refusedTraffic() && !st.routed(targets[routes]) {
			return false
		}
	}
	return true
}

// positions are where the caches are now.
func (g *gateway) positions() (at [kinds]uint64) {
	for k, c := range g.caches {
		at[k] = c.changes
	}
	return at
}

// addClusters is the first phase: the new clusters, and secrets, on top of
// those that are there. From here on no share counts as settled that this
// publication changes.
func (g *gateway) addClusters(p *plan) (targets [kinds]uint64, wait time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.epoch != p.epoch {
		return targets, 0, false
	}
	g.goal = nil
	for _, r := range g.envoys {
		maps.DeleteFunc(r.settled, func(key gwapi.Key, share string) bool { return p.shares[key] != share })
	}
	g.forgetRefusals(p)
	wait = g.patienceFor(p)
	g.serve(clusters, p)
	g.serve(secrets, p)
	g.wanted = p.items[clusters]
	if !g.published {
		g.published = true
		for st := range g.streams {
			st.nudge()
		}
	}
	g.changed()
	return g.positions(), wait, true
}

// forgetRefusals ends the refusals of what is not wanted any more or has
// changed, and notes those that the plan found by itself. A cluster under a
// name that cannot be served is withdrawn.
func (g *gateway) forgetRefusals(p *plan) {
	for id, r := range p.faults {
		if g.refused[id] != r {
			g.log.Error("a resource is not valid and was not sent", "error", r.words)
		}
	}
	for id, r := range g.refused {
		if it := p.items[id.kind][id.name]; it == nil || it.digest != r.digest {
			delete(g.refused, id)
			for _, e := range g.envoys {
				delete(e.rejections, id)
			}
		}
	}
	for id, r := range p.faults {
		g.refused[id] = r
		if id.kind == clusters {
			g.caches[clusters].remove(id.name)
		}
	}
	for _, r := range g.envoys {
		g.unsettle(r)
	}
}

// serve puts the planned items of a kind into its cache, but for those that
// were refused.
func (g *gateway) serve(k kind, p *plan) {
	for name, it := range p.items[k] {
		if _, refused := g.refused[resourceID{kind: k, name: name}]; !refused {
			g.caches[k].set(it)
		}
	}
}

// patienceFor is how long the phases of the plan wait: less if it leaves a
// cluster, that is a trust, other than for an insecure mode of the same
// Service port.
func (g *gateway) patienceFor(p *plan) time.Duration {
	loosened := make(map[string]bool)
	for name, it := range p.items[clusters] {
		if g.caches[clusters].items[name] == nil && it.held.Mode.Insecure() {
			loosened[servicePort(name)] = true
		}
	}
	for name := range g.caches[clusters].items {
		if p.items[clusters][name] == nil && !loosened[servicePort(name)] {
			return patienceTrust
		}
	}
	return patience
}

// servicePort is what precedes the digest of the trust in a cluster's name
// (model.Backend.Name).
func servicePort(cluster string) string {
	return cluster[:max(strings.LastIndexByte(cluster, '/'), 0)]
}

// moveTraffic is the second phase: listeners and routes as planned. A resource
// that could not be made keeps its predecessor.
func (g *gateway) moveTraffic(p *plan) (targets [kinds]uint64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.epoch != p.epoch {
		return targets, false
	}
	g.serve(routes, p)
	g.serve(listeners, p)
	g.prune(listeners, p)
	return g.positions(), true
}

// prune removes what is not planned.
func (g *gateway) prune(k kind, p *plan) {
	for name := range g.caches[k].items {
		_, faulty := p.faults[resourceID{kind: k, name: name}]
		if p.items[k][name] == nil && !faulty {
			g.caches[k].remove(name)
		}
	}
}

// removeClusters is the third phase: the clusters that no route names any
// more, whatever became of the routes, and the routes and secrets that no
// listener names. With it all is sent, and Settled can follow.
func (g *gateway) removeClusters(p *plan) (targets [kinds]uint64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.epoch != p.epoch {
		return targets, false
	}
	g.prune(clusters, p)
	if !g.refusedTraffic() {
		g.prune(routes, p)
		g.prune(secrets, p)
	}
	targets = g.positions()
	g.goal = &goal{number: p.number, shares: p.shares, targets: targets}
	g.settle()
	return targets, true
}

// removeEndpoints is the last phase: the assignments of clusters that are
// neither planned nor served. One that was set after the publication was asked
// for may be for the next.
func (g *gateway) removeEndpoints(p *plan) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending != nil {
		return
	}
	c := g.caches[assignments]
	for name, it := range c.items {
		if g.wanted[name] == nil && g.caches[clusters].items[name] == nil && it.since < p.number {
			c.remove(name)
		}
	}
}

// withdraw removes every cluster that is not kept and ends the publication
// under way and the one pending.
func (g *gateway) withdraw(keep func(cluster string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.epoch++
	g.pending = nil
	g.goal = nil
	c := g.caches[clusters]
	for name, it := range c.items {
		if keep(name) {
			continue
		}
		c.remove(name)
		for _, r := range g.envoys {
			delete(r.settled, it.held.Policy)
		}
	}
	g.progress()
	g.changed()
}
