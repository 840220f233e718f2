package watch

import (
	"maps"
	"slices"
	"strings"
	"sync"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// EndpointSink is told the EndpointSlices of each Service whose slices
// changed, sorted by name; none when the last one is gone. It must not block
// and must not modify them.
type EndpointSink interface {
	SetSlices(service types.NamespacedName, slices []*discoveryv1.EndpointSlice)
}

// sliceIndex knows the EndpointSlices of each Service. An event costs as much
// as its Service has slices.
type sliceIndex struct {
	endpoints EndpointSink

	// mu is held while the sink is told, so that of two changes of one Service
	// the later one is told last.
	mu       sync.Mutex
	services map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice
	// owners are the Services of the slices: a slice may change hands.
	owners map[types.NamespacedName]types.NamespacedName
}

func newSliceIndex(endpoints EndpointSink) *sliceIndex {
	return &sliceIndex{
		endpoints: endpoints,
		services:  map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice{},
		owners:    map[types.NamespacedName]types.NamespacedName{},
	}
}

func (x *sliceIndex) put(now *discoveryv1.EndpointSlice) {
	name := types.NamespacedName{Namespace: now.Namespace, Name: now.Name}
	service := types.NamespacedName{Namespace: now.Namespace, Name: now.Labels[discoveryv1.LabelServiceName]}
	x.mu.Lock()
	defer x.mu.Unlock()
	if owner, known := x.owners[name]; known && owner != service {
		x.drop(name, owner)
	}
	if service.Name == "" {
		return // It belongs to no Service.
	}
	if was := x.services[service][name.Name]; was != nil && was.ResourceVersion == now.ResourceVersion {
		return // It was only read again.
	}
	if x.services[service] == nil {
		x.services[service] = map[string]*discoveryv1.EndpointSlice{}
	}
	x.services[service][name.Name] = now
	x.owners[name] = service
	x.tell(service)
}

func (x *sliceIndex) remove(name types.NamespacedName) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if owner, known := x.owners[name]; known {
		x.drop(name, owner)
	}
}

func (x *sliceIndex) drop(name, owner types.NamespacedName) {
	delete(x.owners, name)
	delete(x.services[owner], name.Name)
	if len(x.services[owner]) == 0 {
		delete(x.services, owner)
	}
	x.tell(owner)
}

func (x *sliceIndex) tell(service types.NamespacedName) {
	list := slices.SortedFunc(maps.Values(x.services[service]), func(a, b *discoveryv1.EndpointSlice) int {
		return strings.Compare(a.Name, b.Name)
	})
	x.endpoints.SetSlices(service, list)
}
