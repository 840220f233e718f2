package collect

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// replace takes in a whole list.
func (f *feed) replace(objects map[client.ObjectKey]client.Object) {
	f.lock.Lock()
	changed := f.objects == nil || f.refusal != nil || f.failing != nil || !maps.EqualFunc(f.objects, objects, sameVersion)
	f.objects, f.refusal, f.failing = objects, nil, nil
	f.lock.Unlock()
	f.failures = 0
	f.answer(changed)
}

func sameVersion(a, b client.Object) bool {
	return a.GetResourceVersion() == b.GetResourceVersion() && a.GetUID() == b.GetUID()
}

// take takes in one change.
func (f *feed) take(kind watch.EventType, object client.Object) {
	key := client.ObjectKeyFromObject(object)
	f.lock.Lock()
	known, found := f.objects[key]
	changed := false
	switch kind {
	case watch.Added, watch.Modified:
		changed = !found || !sameVersion(known, object)
		f.objects[key] = f.stripped(object)
	case watch.Deleted:
		changed = found
		delete(f.objects, key)
	case watch.Bookmark, watch.Error: // They tell a version, and nothing of objects.
	}
	f.lock.Unlock()
	if changed {
		f.follower.changed()
	}
}

// refuse takes in that nothing may be read, or that there is nothing to read.
func (f *feed) refuse(err error) {
	f.lock.Lock()
	changed := f.refusal == nil || f.refusal.Error() != err.Error() || f.failing != nil
	f.objects, f.refusal, f.failing, f.polled = nil, err, nil, false
	f.lock.Unlock()
	f.failures = 0
	f.answer(changed)
}

// fail takes in that there was no answer. What is known stays.
func (f *feed) fail(err error) {
	f.failures++
	f.lock.Lock()
	changed := f.failing == nil || f.failing.Err.Error() != err.Error()
	outage := &Outage{Since: time.Now(), Err: err}
	if f.failing != nil {
		outage.Since = f.failing.Since
	}
	f.failing = outage
	f.lock.Unlock()
	f.answer(changed)
}

// watched takes in that a watch has begun.
func (f *feed) watched() {
	f.lock.Lock()
	changed := f.failing != nil || f.polled
	f.failing, f.polled = nil, false
	f.lock.Unlock()
	f.failures = 0
	if changed {
		f.follower.changed()
	}
}

// answer lets those go on who wait for the first answer, and tells of a change
// after that.
func (f *feed) answer(changed bool) {
	f.first.Do(func() {
		close(f.answered)
		changed = false
	})
	if changed {
		f.follower.changed()
	}
}

// backoff is how long to wait after so many failures, spread so that not all
// come back at once.
func (f *feed) backoff() time.Duration {
	pace := f.follower.pace
	wait := pace.Retry
	for range f.failures - 1 {
		if wait *= 2; wait >= pace.RetryMost {
			wait = pace.RetryMost
			break
		}
	}
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // Chance is no secret here.
}

func (f *feed) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
