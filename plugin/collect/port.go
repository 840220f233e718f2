package collect

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
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
	keys := slices.SortedFunc(maps.Keys(w.ports), ComparePortKeys)
	ports := make([]Port, len(keys))
	for i, key := range keys {
		ports[i] = w.ports[key]
	}
	return ports
}

// PortsOf lists the TCP ports of one Service, sorted.
func (w *World) PortsOf(service gwapi.Key) []Port {
	return slices.DeleteFunc(w.Ports(), func(port Port) bool { return port.Service != service })
}

// Port is one port of a Service.
func (w *World) Port(key PortKey) (Port, bool) {
	port, found := w.ports[key]
	return port, found
}

// gather lists the TCP ports of every Service of the snapshot, with the paths
// that Build found and the endpoints behind them.
func (w *World) gather() {
	w.ports = map[PortKey]Port{}
	for _, service := range w.Snapshot.Services.Sorted() {
		key := gwapi.KeyOf(gwapi.KindService, service.Namespace, service.Name)
		slices := w.Snapshot.EndpointSlicesOf(key.NamespacedName())
		for _, spec := range service.Spec.Ports {
			if spec.Protocol != corev1.ProtocolTCP && spec.Protocol != "" {
				continue
			}
			w.ports[PortKey{Service: key, Port: spec.Port}] = Port{
				Service:   key,
				Spec:      spec,
				Endpoints: resolve.Endpoints(spec.Name, slices, w.Snapshot.Site),
			}
		}
	}
	for _, path := range w.Result.Paths {
		key := PortKey{Service: path.Service, Port: path.Port}
		if port, found := w.ports[key]; found {
			port.Paths = append(port.Paths, path)
			w.ports[key] = port
		}
	}
	for key, strict := range w.strict() {
		port := w.ports[key]
		port.Strict = strict
		if strict.Policy != nil {
			port.Policy, _ = w.Snapshot.TLSPolicies.Get(strict.Policy.Policy.NamespacedName())
		}
		w.ports[key] = port
	}
}
