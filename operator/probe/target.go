package probe

import (
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// place is what one handshake is made with: an address, the Pod that is said to
// have it, and the server name. However many subjects have it, it is asked once.
type place struct {
	address netip.AddrPort
	pod     gwapi.Key
	sni     string
}

// target is a place that is asked again and again.
type target struct {
	place
	owner    *term
	subjects map[*subject]struct{}
	// due is when it is to be asked next.
	due time.Time
	// index is its place in the queue, -1 while it is asked, parked or dropped.
	index int
	// asked says that it was at all, asking that it is just now.
	asked, asking bool
	// suspect says that it could not be reached the last time.
	suspect bool
	// renewed says that a subject joined while it was asked.
	renewed bool
}

// interval is the smallest that a subject asks for.
func (t *target) interval() time.Duration {
	var least time.Duration
	for s := range t.subjects {
		if least == 0 || s.interval < least {
			least = s.interval
		}
	}
	return least
}

// services are those it stands behind, sorted.
func (t *target) services() []types.NamespacedName {
	list := make([]types.NamespacedName, 0, len(t.subjects))
	for s := range t.subjects {
		if service := s.service(); !slices.Contains(list, service) {
			list = append(list, service)
		}
	}
	return list
}

// queue orders targets by due, as container/heap wants it.
type queue []*target

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(item any) {
	t, ok := item.(*target)
	if !ok {
		return // Nothing else is ever pushed.
	}
	t.index = len(*q)
	*q = append(*q, t)
}

func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	last.index = -1
	return last
}
