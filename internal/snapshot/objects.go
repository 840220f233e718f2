package snapshot

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Objects are the objects of one kind by name. The zero value is empty.
type Objects[T metav1.Object] struct {
	byName map[types.NamespacedName]T
}

// NewObjects collects objects; of two with one name the later one stays.
func NewObjects[T metav1.Object](objects ...T) Objects[T] {
	byName := make(map[types.NamespacedName]T, len(objects))
	for _, object := range objects {
		byName[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}] = object
	}
	return Objects[T]{byName: byName}
}

// CopyObjects collects the objects of a map, which the caller may go on
// changing: for one who keeps objects up to date and takes copies now and then.
func CopyObjects[T metav1.Object](byName map[types.NamespacedName]T) Objects[T] {
	return Objects[T]{byName: maps.Clone(byName)}
}

// Get is the object of that name.
func (o Objects[T]) Get(name types.NamespacedName) (T, bool) {
	object, found := o.byName[name]
	return object, found
}

// Len is the number of objects.
func (o Objects[T]) Len() int { return len(o.byName) }

// Sorted lists the objects by namespace and name.
func (o Objects[T]) Sorted() []T {
	names := slices.SortedFunc(maps.Keys(o.byName), compareNames)
	sorted := make([]T, len(names))
	for i, name := range names {
		sorted[i] = o.byName[name]
	}
	return sorted
}

// With is a copy that has the object, in place of one of the same name.
func (o Objects[T]) With(object T) Objects[T] {
	byName := maps.Clone(o.byName)
	if byName == nil {
		byName = map[types.NamespacedName]T{}
	}
	byName[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}] = object
	return Objects[T]{byName: byName}
}

// Without is a copy that lacks the object of that name.
func (o Objects[T]) Without(name types.NamespacedName) Objects[T] {
	byName := maps.Clone(o.byName)
	delete(byName, name)
	return Objects[T]{byName: byName}
}
