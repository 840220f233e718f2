package status

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

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
	handlers := map[gwapi.Kind]handler{}
	defer func() {
		for _, h := range handlers {
			// An informer that has ended has no handlers.
			_ = h.informer.RemoveEventHandler(h.registration)
		}
	}()
	again := time.NewTimer(0)
	defer again.Stop()
	led, swept := false, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-again.C:
		}
		whole := w.adopt(ctx, q, handlers)
		leads := w.config.Leading()
		poked := w.compare(q, leads)
		if leads && (poked || !led) {
			swept = false
			w.forgetTracks()
		}
		led = leads
		if leads && !swept {
			swept = w.sweep(ctx, q)
			whole = whole && swept
		}
		if !whole {
			again.Reset(adoptAgain)
		}
	}
}

// adopt takes note of the kinds that the cache has, and listens to them. It is
// false if that has to be tried again.
func (w *Writer) adopt(ctx context.Context, q queue, handlers map[gwapi.Kind]handler) bool {
	active, whole := map[gwapi.Kind]bool{}, true
	for _, name := range w.config.Kinds() {
		k, known := kindOf(name)
		if !known {
			continue
		}
		if _, listening := handlers[name]; !listening {
			h, err := w.listen(ctx, q, k)
			if err != nil {
				w.complaints.say("statuses of a kind cannot be written: its objects cannot be watched", err,
					"kind", string(name))
				whole = false
				continue
			}
			handlers[name] = h
		}
		active[name] = true
	}
	for name, h := range handlers {
		if !active[name] {
			_ = h.informer.RemoveEventHandler(h.registration) // The informer may be gone.
			delete(handlers, name)
		}
	}
	w.mu.Lock()
	w.active = active
	w.mu.Unlock()
	return whole
}

// listen has the objects of a kind looked at when they change.
func (w *Writer) listen(ctx context.Context, q queue, k kind) (handler, error) {
	informer, err := w.config.Cache.GetInformer(ctx, k.object(), cache.BlockUntilSynced(false))
	if err != nil {
		return handler{}, err
	}
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
	poked := w.poked || w.desired == nil && w.put != nil
	w.poked = false
	var now, first []gwapi.Key
	for key, ours := range w.put {
		was, known := w.desired[key]
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
	for key, ours := range w.desired {
		if _, kept := w.put[key]; kept {
			continue
		}
		if k, known := kindOf(key.Kind); known && k.anonymous {
			w.retired[key] = ours
		}
		now = append(now, key)
	}
	w.desired = w.put
	if leads {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(urgent)}, first...)
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(changed)}, now...)
	}
	return poked
}

// sweep queues every object there is, those first which a mode waits for. It is
// false if it has to be tried again; before the first Put it has nothing to do.
func (w *Writer) sweep(ctx context.Context, q queue) bool {
	w.mu.Lock()
	desired, active := w.desired, w.active
	w.mu.Unlock()
	if desired == nil {
		return false
	}
	whole := true
	for _, k := range kinds {
		if !active[k.name] {
			continue
		}
		list := k.list()
		if err := w.config.Cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			w.complaints.say("the objects of a kind cannot be listed", err, "kind", string(k.name))
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
