package status

import (
	"context"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// queue holds the keys of objects to look at.
type queue = priorityqueue.PriorityQueue[gwapi.Key]

// handler is a registration to be taken back.
type handler struct {
	informer     cache.Informer
	registration toolscache.ResourceEventHandlerRegistration
}

// dispatch decides which objects are looked at, until ctx ends.
func (w *Writer) dispatch(ctx context.Context, q queue) {
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	led, swept := false, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-again.C:
		}
		leads := w.config.Leading()
		poked := w.compare(q, leads)
		w.forgetGone(ctx)
		if leads && (poked || !led) {
			swept = false
			w.forgetTracks()
		}
		led = leads
		if leads && !swept {
			if swept = w.sweep(ctx, q); !swept {
				again.Reset(w.pace.fault)
			}
		}
	}
}

// listenAll listens to every kind from when it is installed until ctx ends.
func (w *Writer) listenAll(ctx context.Context, q queue) {
	handlers := map[gwapi.Kind]handler{}
	for wait := w.adopt(ctx, q, handlers); wait > 0; wait = w.adopt(ctx, q, handlers) {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	<-ctx.Done()
	for _, h := range handlers {
		// An informer that has ended has no handlers.
		_ = h.informer.RemoveEventHandler(h.registration)
	}
}

// adopt begins to listen to the kinds that are installed. It says when to try
// again, zero if it listens to all.
func (w *Writer) adopt(ctx context.Context, q queue, handlers map[gwapi.Kind]handler) time.Duration {
	var wait time.Duration
	for _, k := range kinds {
		if _, listening := handlers[k.name]; listening {
			continue
		}
		h, err := w.listen(ctx, q, k)
		switch {
		case err == nil:
			handlers[k.name] = h
		case ctx.Err() != nil:
			return 0
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			if wait == 0 {
				wait = w.pace.absent
			}
		default:
			wait = w.pace.fault
			w.complaints.say("statuses of a kind are not written yet: its objects cannot be listed", err,
				"kind", string(k.name))
		}
	}
	return wait
}

// installed asks the API server whether it has the kind: an informer that is
// started for a kind that is not there fails again and again.
func (w *Writer) installed(ctx context.Context, k kind) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	one := &metav1.PartialObjectMetadataList{}
	one.SetGroupVersionKind(schema.GroupVersionKind{
		Group: gatewayv1.GroupName, Version: gatewayv1.GroupVersion.Version, Kind: string(k.name) + "List",
	})
	return w.config.Client.List(ctx, one, client.Limit(1))
}

// listen has the objects of a kind looked at when they change.
func (w *Writer) listen(ctx context.Context, q queue, k kind) (handler, error) {
	if err := w.installed(ctx, k); err != nil {
		return handler{}, err
	}
	informer, err := w.config.Cache.GetInformer(ctx, k.object(), cache.BlockUntilSynced(false))
	if err != nil {
		return handler{}, err
	}
	// Known before it tells of objects: what is not installed is not looked at, and
	// nobody tells twice.
	w.mu.Lock()
	w.informers[k.name] = informer
	w.mu.Unlock()
	look := func(object any) {
		if o, ok := object.(client.Object); ok && w.config.Leading() {
			q.AddWithOpts(priorityqueue.AddOpts{Priority: new(checked)}, k.key(o))
		}
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, object any) { look(object) },
		DeleteFunc: func(object any) {
			if last, unknown := object.(toolscache.DeletedFinalStateUnknown); unknown {
				object = last.Obj
			}
			if o, ok := object.(client.Object); ok {
				w.forget(k.key(o))
			}
		},
	})
	return handler{informer: informer, registration: registration}, err
}

// compare queues what is to be said differently than before. It says whether
// every object has to be looked at.
func (w *Writer) compare(q queue, leads bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	poked := w.poked || w.compared == nil && w.put != nil
	w.poked = false
	var now, first []gwapi.Key
	for key, ours := range w.put {
		was, known := w.compared[key]
		if known && same(was, ours) {
			continue
		}
		delete(w.retired, key)
		if degraded(ours) {
			first = append(first, key)
		} else {
			now = append(now, key)
		}
	}
	for key, ours := range w.compared {
		if _, kept := w.put[key]; kept {
			continue
		}
		if k, known := kindOf(key.Kind); known && k.anonymous {
			w.retired[key] = ours
		}
		now = append(now, key)
	}
	w.compared = w.put
	if leads {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(urgent)}, first...)
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(changed)}, now...)
	}
	return poked
}

// sweep queues every object there is, those first which a mode waits for. It is
// false if it has to be tried again. Objects of a kind that is installed later
// are queued as they are listed.
func (w *Writer) sweep(ctx context.Context, q queue) bool {
	w.mu.Lock()
	desired := w.put
	w.mu.Unlock()
	if desired == nil {
		return true // The first Put comes with a sweep.
	}
	whole := true
	for _, k := range kinds {
		switch known, listed := w.has(k.name); {
		case !known:
			continue
		case !listed:
			whole = false // Asking would wait until they are.
			continue
		}
		list := k.list()
		// Their objects are the cache's own and are never modified.
		if err := w.config.Cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			w.complaints.say("the objects of a kind cannot be read from the cache", err, "kind", string(k.name))
			whole = false
			continue
		}
		var keys, first []gwapi.Key
		// The only error is the function's, which has none.
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if !ok {
				return nil
			}
			key := k.key(object)
			if degraded(desired[key]) {
				first = append(first, key)
			} else {
				keys = append(keys, key)
			}
			return nil
		})
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(urgent)}, first...)
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(checked)}, keys...)
	}
	return whole
}

// forget drops what is known of an object that is gone.
func (w *Writer) forget(key gwapi.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tracks, key)
	delete(w.retired, key)
}

// forgetGone drops what was last desired of objects that are gone: as a rule their
// deletion was heard of before it was decided that nothing is reported on them.
// An object that goes later is dropped when that is heard of.
func (w *Writer) forgetGone(ctx context.Context) {
	w.mu.Lock()
	keys := slices.Collect(maps.Keys(w.retired))
	w.mu.Unlock()
	for _, key := range keys {
		k, _ := kindOf(key.Kind)
		if _, listed := w.has(key.Kind); !listed {
			continue // Asking would wait until they are.
		}
		err := w.config.Cache.Get(ctx, key.NamespacedName(), k.object(), client.UnsafeDisableDeepCopy)
		if apierrors.IsNotFound(err) {
			w.forget(key)
		}
	}
}

// forgetTracks: what this replica once wrote is not what was written last.
func (w *Writer) forgetTracks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.tracks)
}

// said is what this process has last said, or wanted to say, of an object.
func (w *Writer) said(key gwapi.Key, t *track) []report.Report {
	var said []report.Report
	w.mu.Lock()
	if last, retired := w.retired[key]; retired {
		said = append(said, last)
	}
	w.mu.Unlock()
	if t.wrote != nil {
		said = append(said, *t.wrote)
	}
	return said
}
