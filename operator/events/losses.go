package events

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	eventsv1 "k8s.io/api/events/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

const (
	// saidEvery is the time between two lines of the log about losses, if there
	// are any.
	saidEvery = 30 * time.Second
	// most is how many namespaces such a line names.
	most = 5
)

// losses are the Events that were not written since the log last said so: a
// flood of them is a line now and then, not one for each.
type losses struct {
	log *slog.Logger

	mu    sync.Mutex
	total int
	// of counts them by namespace.
	of map[string]int
	// last is the one that was lost last, and why.
	last *eventsv1.Event
	why  error
}

// add never blocks on the log.
func (l *losses) add(event *eventsv1.Event, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]int{}
	}
	l.total++
	l.of[event.Namespace]++
	l.last, l.why = event, why
}

// run says now and then what was lost, until ctx ends.
func (l *losses) run(ctx context.Context) {
	now := time.NewTicker(saidEvery)
	defer now.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-now.C:
			l.say()
		}
	}
}

// say logs what was lost since it was called last, if anything.
func (l *losses) say() {
	l.mu.Lock()
	total, of, last, why := l.total, l.of, l.last, l.why
	l.total, l.of, l.last, l.why = 0, nil, nil, nil
	l.mu.Unlock()
	if total == 0 {
		return
	}
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b))
	})
	worst := map[string]int{}
	for _, name := range names[:min(most, len(names))] {
		worst[name] = of[name]
	}
	policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, last.Namespace, last.Regarding.Name)
	l.log.Warn("Events were not written", "dropped", total, "namespaces", len(of), "mostOf", worst,
		"object", policy.String(), "event", last.Reason, "error", why)
}
