package events

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
)

// queue is what waits to be written, namespace by namespace: what somebody does
// to his own policies must not cost others their Events.
//
// Of n namespaces with Events that wait, each is served once in n times. Where
// more than capacity wait, one of the namespace with the most is dropped: never
// one of a namespace that has no more than capacity/n of them.
type queue struct {
	capacity int
	// came has a value after something was put in.
	came chan struct{}

	mu      sync.Mutex
	waiting int
	lanes   map[string]*lane
	// turns are the lanes that are not empty, the next one first.
	turns []*lane
}

// lane is what waits of one namespace, the oldest first. Warnings go before the
// rest.
type lane struct {
	namespace        string
	warnings, normal []*eventsv1.Event
}

func newQueue(capacity int) *queue {
	return &queue{capacity: capacity, came: make(chan struct{}, 1), lanes: map[string]*lane{}}
}

// put adds an Event, and returns the one that has to go for it, nil for none.
func (q *queue) put(event *eventsv1.Event) (dropped *eventsv1.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[event.Namespace]
	if l == nil {
		l = &lane{namespace: event.Namespace}
		q.lanes[event.Namespace] = l
		q.turns = append(q.turns, l)
	}
	if event.Type == corev1.EventTypeWarning {
		l.warnings = append(l.warnings, event)
	} else {
		l.normal = append(l.normal, event)
	}
	q.waiting++
	if q.waiting > q.capacity {
		dropped = q.drop()
	}
	select {
	case q.came <- struct{}{}:
	default:
	}
	return dropped
}

// next takes the Event out whose turn it is, nil if none waits.
func (q *queue) next() *eventsv1.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turns) == 0 {
		return nil
	}
	l := q.turns[0]
	q.turns = q.turns[1:]
	event := l.takeFirst()
	q.waiting--
	if l.waiting() > 0 {
		q.turns = append(q.turns, l)
	} else {
		delete(q.lanes, l.namespace)
	}
	return event
}

// drop takes an Event out of the longest lane: of several, the one whose turn
// comes last.
func (q *queue) drop() *eventsv1.Event {
	longest := 0
	for i, l := range q.turns {
		if l.waiting() >= q.turns[longest].waiting() {
			longest = i
		}
	}
	l := q.turns[longest]
	event := l.takeLast()
	q.waiting--
	if l.waiting() == 0 {
		q.turns = slices.Delete(q.turns, longest, longest+1)
		delete(q.lanes, l.namespace)
	}
	return event
}

func (l *lane) waiting() int { return len(l.warnings) + len(l.normal) }

func (l *lane) takeFirst() *eventsv1.Event {
	from := &l.normal
	if len(l.warnings) > 0 {
		from = &l.warnings
	}
	first := (*from)[0]
	(*from)[0] = nil
	*from = (*from)[1:]
	return first
}

// takeLast takes out what came last, a Warning only if nothing else waits.
func (l *lane) takeLast() *eventsv1.Event {
	from := &l.warnings
	if len(l.normal) > 0 {
		from = &l.normal
	}
	last := (*from)[len(*from)-1]
	(*from)[len(*from)-1] = nil
	*from = (*from)[:len(*from)-1]
	return last
}
