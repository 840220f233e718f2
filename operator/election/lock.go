package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock is the Lease, and keeps the time until which it is certainly ours.
//
// The elector of client-go knows no such time: it believes in its last
// observation, counted from the answer to a renewal, and as long as it retries
// it goes on believing. Others count from when they could first see the
// renewTime that is in the Lease; a renewal that is sent again, because its
// answer was lost, has the same one and looks to them as if nothing happened.
// So the time counts from the renewTime, which is when the elector began to try,
// and whatever says that the Lease is somebody else's, or may be, ends it at
// once.
type lock struct {
	resourcelock.Interface

	// changed is told of every change of until; it must not block.
	changed func()

	mu     sync.Mutex
	until  time.Time
	holder string
}

// Get reads the Lease.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if err != nil {
		return record, raw, err
	}
	l.mu.Lock()
	l.holder = record.HolderIdentity
	l.mu.Unlock()
	if record.HolderIdentity != l.Identity() {
		l.set(time.Time{})
	}
	return record, raw, nil
}

// Create makes the Lease, for ourselves.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Create)
}

// Update renews, takes or releases the Lease.
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == l.Identity() {
		return l.write(ctx, record, l.Interface.Update)
	}
	// It is given up. From now on it may be anybody's, whether or not the answer
	// arrives. The elector gives up what it believes to hold, even if it has just
	// read that somebody else holds it.
	l.set(time.Time{})
	l.mu.Lock()
	holder := l.holder
	l.mu.Unlock()
	if holder != l.Identity() {
		return fmt.Errorf("not released: the lease is held by %q", holder)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return l.Interface.Update(ctx, record)
}

func (l *lock) write(
	ctx context.Context, record resourcelock.LeaderElectionRecord,
	send func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := send(ctx, record); err != nil {
		return err
	}
	l.mu.Lock()
	l.holder = record.HolderIdentity
	l.mu.Unlock()
	l.set(ahead(record.RenewTime.Add(renewDeadline)))
	return nil
}

// ahead is that time on the monotonic clock, and never further away than a
// renewal may last: when this machine's clock is put back, nothing is prolonged.
func ahead(until time.Time) time.Time {
	now := time.Now()
	return now.Add(min(until.Sub(now), renewDeadline))
}

// RecordEvent records nothing: who leads is in the Lease, the log and a metric.
func (l *lock) RecordEvent(string) {}

func (l *lock) set(until time.Time) {
	l.mu.Lock()
	same := l.until.Equal(until)
	l.until = until
	l.mu.Unlock()
	if !same {
		l.changed()
	}
}

// held is how long the Lease is certainly ours from now on, not positive if it
// is not.
func (l *lock) held() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		return 0
	}
	return time.Until(l.until)
}

var errNoIdentity = errors.New("a candidate needs an identity: set POD_NAME")
