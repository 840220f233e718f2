package loadbalancer

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// assignment is an address for a Service; an invalid address takes its one away.
type assignment struct {
	service *corev1.Service
	address netip.Addr
}

// assign says what must change so that each Service that wants an address has
// one of the pool that no other has, and no other Service has one.
func assign(pool netip.Prefix, services []*corev1.Service) []assignment {
	taken := map[netip.Addr]bool{}
	var changes []assignment
	var waiting []*corev1.Service
	for _, service := range services {
		address, has := current(service)
		switch {
		case !wants(service):
			if has {
				changes = append(changes, assignment{service: service})
			}
		case pool.Contains(address) && !taken[address]:
			taken[address] = true
		default:
			waiting = append(waiting, service)
		}
	}
	for _, service := range waiting {
		if address := free(pool, taken); address.IsValid() {
			taken[address] = true
			changes = append(changes, assignment{service, address})
		}
	}
	return changes
}

// wants says whether the Service is ours to serve. One that is being deleted
// keeps what it has, because its address serves until it is gone.
func wants(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil
}

// current is the address that the Service has; has is true of one that cannot
// be read as well.
func current(service *corev1.Service) (address netip.Addr, has bool) {
	if service.Spec.LoadBalancerClass != nil || len(service.Status.LoadBalancer.Ingress) == 0 {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(service.Status.LoadBalancer.Ingress[0].IP)
	if err != nil {
		return netip.Addr{}, true
	}
	return address, true
}

// free is the first address that nobody has; the range's own and the last are
// left out. It is invalid if there is none.
func free(pool netip.Prefix, taken map[netip.Addr]bool) netip.Addr {
	for address := pool.Addr().Next(); pool.Contains(address.Next()); address = address.Next() {
		if !taken[address] {
			return address
		}
	}
	return netip.Addr{}
}
