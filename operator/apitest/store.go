package apitest

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// store holds every object in its newest version, and every event. Objects in
// it are never modified, only replaced.
type store struct {
	mu      sync.Mutex
	version int64
	uids    int
	tables  map[*kind]*table
	// changed is closed and replaced at every event.
	changed chan struct{}
	// oldest is the version below which a watch is answered 410 Gone.
	oldest int64
}

// table is the objects and the history of one kind.
type table struct {
	objects map[types.NamespacedName]*unstructured.Unstructured
	history []event
	// applied is what each field manager applied last.
	applied map[types.NamespacedName]map[string]*unstructured.Unstructured
}

// event is one change: was is nil for a creation, now for a deletion.
type event struct {
	version  int64
	was, now *unstructured.Unstructured
}

func newStore() *store {
	s := &store{tables: map[*kind]*table{}, changed: make(chan struct{})}
	for _, k := range kinds {
		s.tables[k] = &table{
			objects: map[types.NamespacedName]*unstructured.Unstructured{},
			applied: map[types.NamespacedName]map[string]*unstructured.Unstructured{},
		}
	}
	return s
}

func nameOf(object *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// get is an object, which must not be modified.
func (s *store) get(k *kind, name types.NamespacedName) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(k, name)
}

func (s *store) find(k *kind, name types.NamespacedName) (*unstructured.Unstructured, error) {
	if object, found := s.tables[k].objects[name]; found {
		return object, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: k.group, Resource: k.resource}, name.Name)
}

// list is all objects of a kind by name, and the version of the list.
func (s *store) list(k *kind) ([]*unstructured.Unstructured, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.tables[k].objects), s.version
}

func sorted(objects map[types.NamespacedName]*unstructured.Unstructured) []*unstructured.Unstructured {
	return slices.SortedFunc(maps.Values(objects), func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// since is the events after a version, and what is closed at the next one.
func (s *store) since(k *kind, version int64) ([]event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	history := s.tables[k].history
	first, _ := slices.BinarySearchFunc(history, version+1, eventAt)
	return slices.Clone(history[first:]), s.changed
}

func eventAt(e event, version int64) int { return cmp.Compare(e.version, version) }

// put stores an object that is complete but for what the server stamps. Storing
// what is there already is no event. The caller holds mu.
func (s *store) put(k *kind, object *unstructured.Unstructured) *unstructured.Unstructured {
	t, name := s.tables[k], nameOf(object)
	was := t.objects[name]
	object.SetGroupVersionKind(k.gvk())
	if was == nil {
		s.stampNew(k, object)
	} else {
		object.SetUID(was.GetUID())
		object.SetCreationTimestamp(was.GetCreationTimestamp())
		object.SetGeneration(was.GetGeneration())
		object.SetResourceVersion(was.GetResourceVersion())
		if reflect.DeepEqual(was.Object, object.Object) {
			return was
		}
		if k.generation && !sameMeaning(was, object) {
			object.SetGeneration(was.GetGeneration() + 1)
		}
	}
	s.version++
	object.SetResourceVersion(strconv.FormatInt(s.version, 10))
	t.objects[name] = object
	s.happened(t, event{version: s.version, was: was, now: object})
	return object
}

func (s *store) stampNew(k *kind, object *unstructured.Unstructured) {
	if object.GetUID() == "" {
		s.uids++
		object.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", s.uids)))
	}
	if stamp := object.GetCreationTimestamp(); stamp.IsZero() {
		stamp.Time = time.Now().UTC().Truncate(time.Second)
		object.SetCreationTimestamp(stamp)
	}
	if k.generation && object.GetGeneration() == 0 {
		object.SetGeneration(1)
	}
}

// sameMeaning says whether nothing but metadata and status differs.
func sameMeaning(a, b *unstructured.Unstructured) bool {
	return reflect.DeepEqual(without(a.Object, "metadata", "status"), without(b.Object, "metadata", "status"))
}

func without(object map[string]any, fields ...string) map[string]any {
	rest := maps.Clone(object)
	for _, field := range fields {
		delete(rest, field)
	}
	return rest
}

// remove deletes an object. The caller holds mu.
func (s *store) remove(k *kind, name types.NamespacedName) (*unstructured.Unstructured, error) {
	was, err := s.find(k, name)
	if err != nil {
		return nil, err
	}
	t := s.tables[k]
	delete(t.objects, name)
	delete(t.applied, name)
	s.version++
	last := was.DeepCopy()
	last.SetResourceVersion(strconv.FormatInt(s.version, 10))
	s.happened(t, event{version: s.version, was: last})
	return last, nil
}

func (s *store) happened(t *table, e event) {
	t.history = append(t.history, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// seenBy is the event for a watch that sees only part of the objects; its
// type is "" where it sees nothing of it.
func (e event) seenBy(sees func(*unstructured.Unstructured) bool) (watch.EventType, *unstructured.Unstructured) {
	before, after := e.was != nil && sees(e.was), e.now != nil && sees(e.now)
	switch {
	case before && after:
		return watch.Modified, e.now
	case after:
		return watch.Added, e.now
	case before && e.now != nil:
		// It left what the watch sees: the old object at the version of the change.
		gone := e.was.DeepCopy()
		gone.SetResourceVersion(strconv.FormatInt(e.version, 10))
		return watch.Deleted, gone
	case before:
		return watch.Deleted, e.was
	default:
		return "", nil
	}
}
