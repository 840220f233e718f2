package resolve

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Endpoints are the ready addresses that the slices of a Service list for its
// port of that name ("" for the only one), sorted, each once. Left out are
// names instead of addresses, other protocols than TCP, and the addresses that
// no pod has: unspecified, multicast and link-local ones, and loopback ones
// unless the site is standalone, where backends run beside Envoy. An address in
// several slices is ready if any of them says so, as while a pod moves from one
// slice to another.
func Endpoints(portName string, endpointSlices []*discoveryv1.EndpointSlice, site snapshot.Site) []model.Endpoint {
	found := map[netip.AddrPort]model.Endpoint{}
	for _, slice := range endpointSlices {
		if slice == nil || slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		port, ok := slicePort(slice, portName)
		if !ok {
			continue
		}
		for i := range slice.Endpoints {
			addEndpoints(found, slice.Namespace, &slice.Endpoints[i], port, site)
		}
	}
	endpoints := make([]model.Endpoint, 0, len(found))
	for _, endpoint := range found {
		endpoints = append(endpoints, endpoint)
	}
	slices.SortFunc(endpoints, func(a, b model.Endpoint) int { return a.Address.Compare(b.Address) })
	return endpoints
}

// slicePort is the number of the port of that name, if it is one of TCP.
func slicePort(slice *discoveryv1.EndpointSlice, name string) (number uint16, ok bool) {
	const largest = 1<<16 - 1
	for i := range slice.Ports {
		port := &slice.Ports[i]
		if port.Name != nil && *port.Name != name || port.Name == nil && name != "" {
			continue
		}
		if port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP {
			continue
		}
		// A slice without a number means any port (EndpointPort.port), which
		// nobody can connect to.
		if port.Port == nil || *port.Port < 1 || *port.Port > largest {
			continue
		}
		return uint16(*port.Port), true
	}
	return 0, false
}

func addEndpoints(
	found map[netip.AddrPort]model.Endpoint, namespace string, spec *discoveryv1.Endpoint, port uint16, site snapshot.Site,
) {
	if spec.Conditions.Ready != nil && !*spec.Conditions.Ready {
		return
	}
	var pod gwapi.Key
	if spec.TargetRef != nil && spec.TargetRef.Kind == "Pod" {
		pod = gwapi.KeyOf("Pod", cmp.Or(spec.TargetRef.Namespace, namespace), spec.TargetRef.Name)
	}
	for _, text := range spec.Addresses {
		ip, err := netip.ParseAddr(text)
		ip = ip.Unmap()
		if err != nil || !dialable(ip, site) {
			continue
		}
		endpoint := model.Endpoint{Address: netip.AddrPortFrom(ip, port), Pod: pod, Ready: true}
		// Of two entries for one address the same one stays in whatever order the
		// slices come, one that names a pod before one that does not.
		earlier, twice := found[endpoint.Address]
		if !twice || gwapi.CompareKeys(endpoint.Pod, earlier.Pod) > 0 {
			found[endpoint.Address] = endpoint
		}
	}
}

func dialable(ip netip.Addr, site snapshot.Site) bool {
	switch {
	case ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip.Zone() != "":
		return false
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return false
	case ip.IsLoopback():
		return site.Standalone
	default:
		return true
	}
}
