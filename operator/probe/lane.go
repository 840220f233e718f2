package probe

import (
	"container/heap"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// lane is a Service: its endpoints wait for their turn in it, and one at a time
// is asked, because a backend has other things to do.
type lane struct {
	tenant *tenant
	name   string
	// waiting are its endpoints, but for the one that is asked just now.
	waiting queue[*target]
	asking  bool
	// index is its place among those of its tenant that are ready, -1 for none.
	index int
}

func (l *lane) when() time.Time { return l.waiting[0].due }
func (l *lane) stand(index int) { l.index = index }

// settle puts a lane where it belongs after a change of it: among those that are
// ready, by its first endpoint, or not. One that has become empty is forgotten,
// and so is a tenant without any.
func (l *lane) settle() {
	owner := l.tenant
	switch ready := !l.asking && len(l.waiting) > 0; {
	case ready && l.index < 0:
		heap.Push(&owner.ready, l)
	case ready:
		heap.Fix(&owner.ready, l.index)
	case l.index >= 0:
		heap.Remove(&owner.ready, l.index)
	}
	if l.asking || len(l.waiting) > 0 {
		return
	}
	delete(owner.lanes, l.name)
	if len(owner.lanes) == 0 {
		delete(owner.term.tenants, owner.name)
	}
}

// occupy takes a slot for the first endpoint of a lane that is ready, which is its
// namespace's turn, until release gives it back.
func (l *lane) occupy() *target {
	owner, t, first := l.tenant, l.tenant.term, l.waiting[0]
	t.turns++
	owner.turn = t.turns
	t.running++
	owner.running++
	l.asking = true
	t.dequeue(first)
	return first
}

func (l *lane) release() {
	l.tenant.term.running--
	l.tenant.running--
	l.asking = false
	l.settle()
}

// lane is that of a Service. A namespace that is new has its first turn after
// all others: nobody gains by coming and going.
func (t *term) lane(service types.NamespacedName) *lane {
	owner := t.tenants[service.Namespace]
	if owner == nil {
		t.turns++
		owner = &tenant{term: t, name: service.Namespace, lanes: map[string]*lane{}, turn: t.turns}
		t.tenants[owner.name] = owner
	}
	l := owner.lanes[service.Name]
	if l == nil {
		l = &lane{tenant: owner, name: service.Name, index: -1}
		owner.lanes[l.name] = l
	}
	return l
}

// enqueue has a target wait in its lane, at its place by when it is due.
func (t *term) enqueue(item *target) {
	home := t.lane(item.home())
	if item.lane == home {
		heap.Fix(&home.waiting, item.index)
	} else {
		t.dequeue(item)
		item.lane = home
		heap.Push(&home.waiting, item)
	}
	home.settle()
}

// dequeue takes a target out of its lane, if it waits in one.
func (t *term) dequeue(item *target) {
	left := item.lane
	if left == nil {
		return
	}
	item.lane = nil
	heap.Remove(&left.waiting, item.index)
	left.settle()
}
