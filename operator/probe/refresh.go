package probe

import (
	"maps"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// refresh takes in which endpoints the Services have now that changed since.
// The caller holds mu.
func (t *term) refresh(now time.Time) {
	p := t.prober
	for service := range p.stale {
		delete(p.stale, service)
		for s := range p.services[service] {
			t.reconcile(s, now)
			p.consider(s, now)
		}
	}
}

// reconcile gives a subject the targets of its endpoints.
func (t *term) reconcile(s *subject, now time.Time) {
	gone := maps.Clone(s.members)
	s.unasked = 0
	for _, endpoint := range t.prober.endpointsOf(s) {
		if !t.prober.eligible(s, endpoint) {
			s.unasked++
			continue
		}
		where := place{address: endpoint.Address, pod: endpoint.Pod, sni: s.trust.SNI}
		item := t.targets[where]
		if item == nil {
			item = &target{place: where, owner: t, subjects: map[*subject]struct{}{}}
			t.targets[where] = item
		}
		delete(gone, item)
		if _, known := s.members[item]; !known {
			t.join(item, s, now)
		}
	}
	for item := range gone {
		t.leave(item, s)
	}
}

// join has a target asked soon on behalf of a subject that knows nothing of it.
func (t *term) join(item *target, s *subject, now time.Time) {
	item.subjects[s] = struct{}{}
	s.members[item] = &member{}
	if item.asking {
		item.renewed = true
		return
	}
	if due := now.Add(spread(min(soon, s.interval))); item.lane == nil || item.due.After(due) {
		item.due = due
	}
	t.enqueue(item)
}

// leave forgets what a target showed to a subject, and the target if nobody
// wants to know of it any more.
func (t *term) leave(item *target, s *subject) {
	delete(s.members, item)
	delete(item.subjects, s)
	if len(item.subjects) == 0 {
		delete(t.targets, item.place)
		t.dequeue(item)
	}
}

// eligible is what of the rule about whom to dial can be said without the Pod:
// the EndpointSlice names one of the Service's own namespace, and the address is
// nobody's that is never dialled. (resolve.Endpoints has left out loopback and
// link-local ones.)
func (p *Prober) eligible(s *subject, endpoint model.Endpoint) bool {
	if endpoint.Pod.IsZero() || endpoint.Pod.Namespace != s.key.Service.Namespace {
		return false
	}
	return !p.refuses(endpoint.Address.Addr())
}

// sweep looks for verdicts that have become old.
func (t *term) sweep(now time.Time) {
	p := t.prober
	for _, s := range p.subjects {
		for item, m := range s.members {
			if m.result != "" && now.Sub(m.at) > countsFor*s.interval {
				s.members[item] = &member{}
			}
		}
		p.consider(s, now)
	}
	if !t.late {
		t.warn(now)
	}
}

// warn tells the log, once, if something should have been asked an interval ago.
func (t *term) warn(now time.Time) {
	var last *target
	for _, item := range t.targets {
		if item.lane != nil && now.Sub(item.due) > item.interval() && (last == nil || item.due.Before(last.due)) {
			last = item
		}
	}
	if last == nil {
		return
	}
	t.late = true
	t.prober.config.Log.Warn("live checks come later than their interval says: endpoints do not answer, or raise "+
		"--probe-rate, --probe-concurrency or the interval",
		"namespace", last.pod.Namespace, "behind", now.Sub(last.due).String(), "endpoints", len(t.targets))
}
