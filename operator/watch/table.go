package watch

import (
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// sink takes the objects of one kind as they come and go.
type sink[T client.Object] interface {
	put(now T)
	remove(name types.NamespacedName)
}

// handler brings an informer's events to a sink.
type handler[T client.Object] struct{ sink sink[T] }

func (h handler[T]) OnAdd(object any, _ bool) { h.put(object) }
func (h handler[T]) OnUpdate(_, object any)   { h.put(object) }

func (h handler[T]) put(object any) {
	if now, ok := object.(T); ok {
		h.sink.put(now)
	}
}

// OnDelete takes an object, or what is known of one whose deletion was missed.
func (h handler[T]) OnDelete(object any) {
	key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return // Nothing else is ever stored.
	}
	if namespace, name, err := toolscache.SplitMetaNamespaceKey(key); err == nil {
		h.sink.remove(types.NamespacedName{Namespace: namespace, Name: name})
	}
}

// table is the objects of one kind. An event costs the same however many there
// are; the copy for a Snapshot is made when one is asked for, once for all
// events of a batch.
type table[T client.Object] struct {
	source *Source
	kind   gwapi.Kind
	// differs says whether a build reads what is different in two versions.
	differs func(was, now T) bool
	// named: only objects that a build named count.
	named bool

	byName map[types.NamespacedName]T
	stale  bool
	copied snapshot.Objects[T]
}

func newTable[T client.Object](source *Source, kind gwapi.Kind, differs func(was, now T) bool) *table[T] {
	return &table[T]{source: source, kind: kind, differs: differs, byName: map[types.NamespacedName]T{}}
}

func (t *table[T]) put(now T) {
	name := client.ObjectKeyFromObject(now)
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	was, known := t.byName[name]
	t.byName[name] = now
	t.stale = true
	t.source.happened(t.key(name), t.named, !known || t.differs(was, now))
}

func (t *table[T]) remove(name types.NamespacedName) {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	delete(t.byName, name)
	t.stale = true
	t.source.happened(t.key(name), t.named, true)
}

func (t *table[T]) key(name types.NamespacedName) gwapi.Key {
	return gwapi.KeyOf(t.kind, name.Namespace, name.Name)
}

// objects is a copy for a Snapshot, the last one if nothing happened since.
func (t *table[T]) objects() snapshot.Objects[T] {
	if t.stale {
		t.copied, t.stale = snapshot.CopyObjects(t.byName), false
	}
	return t.copied
}
