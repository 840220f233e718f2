package status

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// verdict says when an object is to be looked at again; the zero value: when
// something changes.
type verdict struct {
	// unpaid: it has to be written and has to wait for its turn among others.
	unpaid bool
	// retry after a while that grows each time.
	retry bool
	after time.Duration
}

// settle brings one object's status to what is desired.
func (w *Writer) settle(ctx context.Context, key gwapi.Key, paid bool) verdict {
	if !w.config.Leading() {
		return verdict{} // Whoever is elected looks at every object.
	}
	k, ours := kindOf(key.Kind)
	switch installed, listed := w.has(key.Kind); {
	case !ours || !installed:
		return verdict{} // If it is installed, every object of it is a change.
	case !listed:
		return verdict{after: unlisted} // Asking would wait until they are.
	}
	object := k.object()
	// What is read is the cache's own and is never modified.
	err := w.config.Cache.Get(ctx, key.NamespacedName(), object, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return verdict{} // If it appears, that is a change.
	}
	if err != nil {
		w.complaints.say("an object cannot be read from the cache", err, "object", key.String())
		return verdict{retry: true}
	}
	t := w.track(key, object)
	if t.replaced != "" && t.replaced == object.GetResourceVersion() {
		return verdict{} // What was written comes soon, and is a change.
	}
	live, _ := report.Of(object)
	w.announceLate(key, t, live, object.GetResourceVersion())
	now := w.config.Now()
	merged, mine, decided := w.merge(k, key, live, t, now)
	if !decided {
		return verdict{}
	}
	if equal(merged, live) {
		w.counts.unchanged.Inc()
		return verdict{}
	}
	if wait := t.notBefore.Sub(now); wait > 0 {
		return verdict{after: wait}
	}
	if !paid && !newlyDegraded(key, live, merged) && !w.limiter.Allow() {
		return verdict{unpaid: true}
	}
	return w.write(ctx, attempt{key: key, object: object, live: live, merged: merged, ours: mine, track: t, at: now})
}

// merge is the status to write and what of it is ours, nil if nothing can be
// told apart. It is not decided as long as nobody has said what it should be.
func (w *Writer) merge(
	k kind, key gwapi.Key, live report.Report, t *track, now time.Time,
) (merged report.Report, ours *report.Report, decided bool) {
	w.mu.Lock()
	desired := w.put
	w.mu.Unlock()
	if desired == nil {
		return report.Report{}, nil, false
	}
	if reported, found := desired[key]; found {
		return report.Merge(key, live, reported, now), &reported, true
	}
	if !k.anonymous {
		ours = &report.Report{Generation: live.Generation}
	}
	return withdraw(k, key, live, w.said(key, t), now), ours, true
}

// attempt is one write.
type attempt struct {
	key gwapi.Key
	// object is the cache's.
	object       client.Object
	live, merged report.Report
	ours         *report.Report
	track        *track
	at           time.Time
}

// write sends one status, and takes note of what came of it.
func (w *Writer) write(ctx context.Context, a attempt) verdict {
	read := a.object.GetResourceVersion()
	disturbed := a.track.wrote != nil && !equal(report.Merge(a.key, a.live, *a.track.wrote, a.at), a.live)
	// The answer is decoded into what was sent, which must not be the cache's.
	sent, ok := a.object.DeepCopyObject().(client.Object)
	if !ok || !report.Apply(a.merged, sent) {
		return verdict{}
	}
	limited, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := w.config.Client.Status().Update(limited, sent, client.FieldOwner(FieldOwner))
	changes := report.Changes(a.key, a.live, a.merged)
	if err != nil {
		return w.failed(ctx, a, err, changes)
	}
	w.counts.writes.WithLabelValues(resultWritten).Inc()
	if a.track.replaced = read; sent.GetResourceVersion() == read {
		a.track.replaced = "" // The server found nothing new in it.
	}
	a.track.wrote, a.track.conflicts, a.track.gone, a.track.unsaid = a.ours, 0, 0, nil
	if disturbed {
		w.counts.rewrites.Inc()
		if a.track.disturbed(a.at) {
			w.config.Log.Warn("somebody else keeps changing our part of a status, it is put back less and less often",
				"object", a.key.String(), "writers", others(sent), "controllers", controllers(a.live))
		}
	}
	w.announce(a.key, a.object, changes)
	return verdict{}
}

// failed says when to try again what could not be written.
func (w *Writer) failed(ctx context.Context, a attempt, err error, changes []report.Change) verdict {
	switch {
	case ctx.Err() != nil:
		return verdict{}
	case apierrors.IsConflict(err):
		w.counts.writes.WithLabelValues(resultConflict).Inc()
		if a.track.conflicted(a.at) {
			w.config.Log.Warn("somebody changes an object as often as its status is written, trying less often",
				"object", a.key.String(), "conflicts", a.track.conflicts)
		}
		return verdict{retry: true}
	case apierrors.IsNotFound(err):
		w.counts.writes.WithLabelValues(resultGone).Inc()
		if a.track.gone++; a.track.gone < goneAfter {
			return verdict{retry: true}
		}
		w.forget(a.key)
		return verdict{}
	default:
		w.counts.writes.WithLabelValues(resultFailed).Inc()
		w.complaints.say("a status cannot be written, it is tried again", err, "object", a.key.String())
		if len(changes) > 0 {
			// It may have been taken all the same.
			a.track.unsaid = &unsaid{object: a.object, changes: changes}
		}
		return verdict{retry: true}
	}
}

// has says whether the kind is installed, and whether its objects were listed.
func (w *Writer) has(name gwapi.Kind) (installed, listed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	informer, installed := w.informers[name]
	return installed, installed && informer.HasSynced()
}

// track is what is remembered of the object.
func (w *Writer) track(key gwapi.Key, object client.Object) *track {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tracks[key]
	if t == nil || t.uid != object.GetUID() {
		t = &track{uid: object.GetUID()}
		w.tracks[key] = t
	}
	return t
}
