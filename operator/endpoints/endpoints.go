package endpoints

import (
	"maps"
	"slices"
	"sync"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Publisher takes the assignment of one cluster of one Gateway. It must not
// block: it is called with the index locked, so that of two changes of one
// Service the later one is published last.
type Publisher interface {
	SetEndpoints(gateway gwapi.Key, assignment *endpointv3.ClusterLoadAssignment)
}

// Endpoints keeps the slices of every Service and the clusters that use them.
// Its methods may be called at the same time.
type Endpoints struct {
	site      snapshot.Site
	publisher Publisher

	mu       sync.Mutex
	slices   map[types.NamespacedName][]*discoveryv1.EndpointSlice
	clusters map[types.NamespacedName]map[cluster]struct{}
	gateways map[gwapi.Key]map[cluster]struct{}
}

// cluster is one cluster of one Gateway, and the port of the Service it means.
type cluster struct {
	gateway  gwapi.Key
	service  types.NamespacedName
	name     string
	portName string
}

// New makes an empty index.
func New(site snapshot.Site, publisher Publisher) *Endpoints {
	return &Endpoints{
		site:      site,
		publisher: publisher,
		slices:    map[types.NamespacedName][]*discoveryv1.EndpointSlice{},
		clusters:  map[types.NamespacedName]map[cluster]struct{}{},
		gateways:  map[gwapi.Key]map[cluster]struct{}{},
	}
}

// SetSlices replaces the slices of a Service and publishes the assignments of
// its clusters, and of no other. The cost is that of the Service's slices.
func (e *Endpoints) SetSlices(service types.NamespacedName, endpointSlices []*discoveryv1.EndpointSlice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(endpointSlices) == 0 {
		delete(e.slices, service)
	} else {
		e.slices[service] = slices.Clone(endpointSlices)
	}
	for user := range e.clusters[service] {
		e.publish(user)
	}
}

// Sync says which backends a Gateway has. It publishes the assignment of each
// new one, an empty one too (a cluster without an assignment never warms), so
// it must be called before the clusters are published.
func (e *Endpoints) Sync(gateway gwapi.Key, backends []model.Backend) {
	wanted := make(map[cluster]struct{}, len(backends))
	for i := range backends {
		wanted[cluster{
			gateway:  gateway,
			service:  backends[i].Service.NamespacedName(),
			name:     backends[i].Name(),
			portName: backends[i].PortName,
		}] = struct{}{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.gateways[gateway]
	for user := range known {
		if _, keep := wanted[user]; !keep {
			e.drop(user)
		}
	}
	for user := range wanted {
		if _, old := known[user]; old {
			continue
		}
		if e.clusters[user.service] == nil {
			e.clusters[user.service] = map[cluster]struct{}{}
		}
		e.clusters[user.service][user] = struct{}{}
		e.publish(user)
	}
	e.gateways[gateway] = wanted
}

// Forget drops a Gateway.
func (e *Endpoints) Forget(gateway gwapi.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for user := range maps.Clone(e.gateways[gateway]) {
		e.drop(user)
	}
	delete(e.gateways, gateway)
}

func (e *Endpoints) drop(user cluster) {
	delete(e.clusters[user.service], user)
	if len(e.clusters[user.service]) == 0 {
		delete(e.clusters, user.service)
	}
}

func (e *Endpoints) publish(user cluster) {
	resolved := resolve.Endpoints(user.portName, e.slices[user.service], e.site)
	e.publisher.SetEndpoints(user.gateway, envoy.Endpoints(user.name, resolved))
}
