package collect

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
)

// Port is one port of a Service and everything that leads to it.
type Port struct {
	Service gwapi.Key
	Spec    corev1.ServicePort
	// Paths are the ones that end here, of every controller; none where no
	// route leads here.
	Paths []model.Path
	// Strict is what the operator would decide for a route from a Gateway of its
	// own, with the policy as written, without its mode: what is left to say
	// about a port that no route reaches or whose mode is refused.
	Strict model.Path
	// Elsewhere is what spec.validation alone comes to, as implementations read it
	// that know none of our options. It is filled in where a Gateway of another
	// controller leads to some Service.
	Elsewhere model.Path
	// Policy is the policy that decides about this port: the more specific
	// section first, then the older, then by name. Nil where none targets it.
	Policy *gatewayv1.BackendTLSPolicy
	// Endpoints are what Envoy would send requests to, sorted.
	Endpoints []model.Endpoint
}

// Used says whether a route references the port or a policy decides about it.
func (p Port) Used() bool { return len(p.Paths) > 0 || p.Policy != nil }

// Hostname is the server name that Envoy sends here: the policy's hostname,
// else "".
func (p Port) Hostname() string {
	if p.Policy == nil {
		return ""
	}
	return string(p.Policy.Spec.Validation.Hostname)
}

// Key identifies the port.
func (p Port) Key() PortKey { return PortKey{Service: p.Service, Port: p.Spec.Port} }

// PortKey identifies one port of a Service.
type PortKey struct {
	Service gwapi.Key
	Port    int32
}

// ComparePortKeys orders ports by namespace, Service and number.
func ComparePortKeys(a, b PortKey) int {
	return cmp.Or(gwapi.CompareKeys(a.Service, b.Service), cmp.Compare(a.Port, b.Port))
}

// Ports lists the TCP ports of every Service, sorted.
func (w *World) Ports() []Port {
	var all []Port
	for _, service := range w.services {
		all = append(all, w.ports[service]...)
	}
	return all
}

// PortsOf lists the TCP ports of one Service, sorted.
func (w *World) PortsOf(service gwapi.Key) []Port { return slices.Clone(w.ports[service]) }

// Port is one port of a Service.
func (w *World) Port(key PortKey) (Port, bool) {
	ports := w.ports[key.Service]
	i := slices.IndexFunc(ports, func(port Port) bool { return port.Key() == key })
	if i < 0 {
		return Port{}, false
	}
	return ports[i], true
}

// gather lists the TCP ports of every Service of the snapshot, with the paths
// that Build found and the endpoints behind them.
func (w *World) gather() {
	w.ports = map[gwapi.Key][]Port{}
	endpoints := w.slices()
	for _, service := range w.Snapshot.Services.Sorted() {
		key := gwapi.KeyOf(gwapi.KindService, service.Namespace, service.Name)
		w.services = append(w.services, key)
		for _, spec := range service.Spec.Ports {
			if spec.Protocol != corev1.ProtocolTCP && spec.Protocol != "" {
				continue
			}
			w.ports[key] = append(w.ports[key], Port{
				Service:   key,
				Spec:      spec,
				Endpoints: resolve.Endpoints(spec.Name, endpoints[key], w.Snapshot.Site),
			})
		}
		slices.SortFunc(w.ports[key], func(a, b Port) int { return ComparePortKeys(a.Key(), b.Key()) })
	}
	for _, path := range w.Result.Paths {
		if port := w.find(path); port != nil {
			port.Paths = append(port.Paths, path)
		}
	}
	for _, path := range w.strict() {
		port := w.find(path)
		if port == nil {
			continue
		}
		port.Strict = path
		if path.Policy != nil {
			port.Policy, _ = w.Snapshot.TLSPolicies.Get(path.Policy.Policy.NamespacedName())
		}
	}
	w.judgeElsewhere()
}

// find is the port that a path ends at, nil if the Service has no such port.
func (w *World) find(path model.Path) *Port {
	ports := w.ports[path.Service]
	i := slices.IndexFunc(ports, func(port Port) bool { return port.Spec.Port == path.Port })
	if i < 0 {
		return nil
	}
	return &ports[i]
}

// slices are the EndpointSlices of each Service, by name.
func (w *World) slices() map[gwapi.Key][]*discoveryv1.EndpointSlice {
	byService := map[gwapi.Key][]*discoveryv1.EndpointSlice{}
	for _, slice := range w.Snapshot.EndpointSlices.Sorted() {
		key := gwapi.KeyOf(gwapi.KindService, slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])
		byService[key] = append(byService[key], slice)
	}
	return byService
}
