package resolve_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// slice is an EndpointSlice with one port and an endpoint per address.
func slice(kind discoveryv1.AddressType, port string, number int32, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		Namespace: "default", Name: "api-1",
		AddressType: kind,
		Ports:       []discoveryv1.EndpointPort{{Name: new(port), Port: new(number)}},
	}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return s
}

func TestEndpoints(t *testing.T) {
	const v4, v6 = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
	unready := slice(v4, "http", 80, "10.0.0.1", "10.0.0.2")
	unready.Endpoints[0].Conditions.Ready = new(false)
	unready.Endpoints[1].Conditions.Ready = new(true)
	nameless := slice(v4, "", 80, "10.0.0.1")
	nameless.Ports[0].Name = nil
	numberless := slice(v4, "http", 80, "10.0.0.1")
	numberless.Ports[0].Port = nil
	udp := slice(v4, "http", 80, "10.0.0.1")
	udp.Ports[0].Protocol = new(corev1.ProtocolUDP)
	several := slice(v4, "metrics", 9090, "10.0.0.1")
	several.Ports = append(several.Ports, discoveryv1.EndpointPort{
		Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP),
	})
	pods := slice(v4, "http", 80, "10.0.0.1")
	pods.Endpoints[0].TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: "api-x"}
	odd := slice(v4, "http", 80, "0.0.0.0", "169.254.1.1", "224.0.0.1", "255.255.255.255", "127.0.0.5", "nowhere", "10.0.0.1")
	standalone := snapshot.Site{Standalone: true}
	for sentence, c := range map[string]struct {
		port   string
		slices []*discoveryv1.EndpointSlice
		site   snapshot.Site
		want   []string
	}{
		"addresses are sorted and each is there once": {
			port:   "http",
			slices: []*discoveryv1.EndpointSlice{slice(v4, "http", 80, "10.0.0.2", "10.0.0.1"), slice(v4, "http", 80, "10.0.0.2")},
			want:   []string{"10.0.0.1:80", "10.0.0.2:80"},
		},
		"both families count": {
			port:   "http",
			slices: []*discoveryv1.EndpointSlice{slice(v6, "http", 80, "fd00::1"), slice(v4, "http", 80, "10.0.0.1")},
			want:   []string{"10.0.0.1:80", "[fd00::1]:80"},
		},
		"an address is written in one way": {
			port: "http", slices: []*discoveryv1.EndpointSlice{slice(v6, "http", 80, "::ffff:10.0.0.1")}, want: []string{"10.0.0.1:80"},
		},
		"what is not ready is left out": {
			port: "http", slices: []*discoveryv1.EndpointSlice{unready}, want: []string{"10.0.0.2:80"},
		},
		"the port is found by its name": {
			port: "http", slices: []*discoveryv1.EndpointSlice{several}, want: []string{"10.0.0.1:8080"},
		},
		"the only port has no name": {
			slices: []*discoveryv1.EndpointSlice{nameless, slice(v4, "", 81, "10.0.0.3")}, want: []string{"10.0.0.1:80", "10.0.0.3:81"},
		},
		"another port is not taken instead": {
			port: "https", slices: []*discoveryv1.EndpointSlice{nameless, several},
		},
		"UDP and ports without a number are no backends": {
			port: "http", slices: []*discoveryv1.EndpointSlice{udp, numberless, slice(v4, "http", 0, "10.0.0.1"), nil},
		},
		"names are never dialled": {
			port: "http", slices: []*discoveryv1.EndpointSlice{slice(discoveryv1.AddressTypeFQDN, "http", 80, "10.0.0.1")},
		},
		"in a cluster nothing that no pod has": {
			port: "http", slices: []*discoveryv1.EndpointSlice{odd}, want: []string{"10.0.0.1:80"},
		},
		"standalone also loopback": {
			port: "http", slices: []*discoveryv1.EndpointSlice{odd}, site: standalone, want: []string{"10.0.0.1:80", "127.0.0.5:80"},
		},
		"pods are named": {
			port: "http", slices: []*discoveryv1.EndpointSlice{slice(v4, "http", 80, "10.0.0.1"), pods}, want: []string{"10.0.0.1:80 pod/default/api-x"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			for range 2 {
				got := []string{}
				for _, endpoint := range resolve.Endpoints(c.port, c.slices, c.site) {
					text := endpoint.Address.String()
					if !endpoint.Pod.IsZero() {
						text += " " + endpoint.Pod.String()
					}
					if !endpoint.Ready {
						t.Errorf("%s is not ready", text)
					}
					got = append(got, text)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
				slices.Reverse(c.slices)
			}
		})
	}
}
