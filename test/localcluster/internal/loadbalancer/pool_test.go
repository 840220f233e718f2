package loadbalancer

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// service is named and of type LoadBalancer, with the addresses that it has.
func service(name string, has ...string) *corev1.Service {
	service := &corev1.Service{}
	service.Name = name
	service.Spec.Type = corev1.ServiceTypeLoadBalancer
	for _, address := range has {
		ingress := corev1.LoadBalancerIngress{IP: address}
		service.Status.LoadBalancer.Ingress = append(service.Status.LoadBalancer.Ingress, ingress)
	}
	return service
}

func typed(service *corev1.Service, kind corev1.ServiceType) *corev1.Service {
	service.Spec.Type = kind
	return service
}

func TestAddressesAreHandedOut(t *testing.T) {
	foreign := service("foreign")
	foreign.Spec.LoadBalancerClass = new("example.com/other")
	tests := map[string]struct {
		services []*corev1.Service
		want     []string
	}{
		"the first free one": {
			[]*corev1.Service{service("a", "10.0.0.1"), service("b"), service("c", "10.0.0.3"), service("d")},
			[]string{"b 10.0.0.2", "d 10.0.0.4"},
		},
		"the older one keeps what two have": {
			[]*corev1.Service{service("a", "10.0.0.1"), service("b", "10.0.0.1")},
			[]string{"b 10.0.0.2"},
		},
		"one of another pool is replaced": {
			[]*corev1.Service{service("a", "10.9.9.9"), service("b", "rubbish")},
			[]string{"a 10.0.0.1", "b 10.0.0.2"},
		},
		"one that wants none any more gives it back": {
			[]*corev1.Service{typed(service("a", "10.0.0.1"), corev1.ServiceTypeClusterIP)},
			[]string{"a invalid IP"},
		},
		"others are left alone": {
			[]*corev1.Service{foreign, typed(service("a"), corev1.ServiceTypeNodePort)},
			nil,
		},
		"nobody gets what is not there": {
			[]*corev1.Service{
				service("a"), service("b"), service("c"), service("d"), service("e"), service("f"), service("g"),
			},
			[]string{
				"a 10.0.0.1", "b 10.0.0.2", "c 10.0.0.3", "d 10.0.0.4", "e 10.0.0.5", "f 10.0.0.6",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, change := range assign(netip.MustParsePrefix("10.0.0.0/29"), test.services) {
				got = append(got, fmt.Sprintf("%s %s", change.service.Name, change.address))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}
