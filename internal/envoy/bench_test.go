package envoy_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

// BenchmarkTranslate is a Gateway with 5,000 backends that share a CA, each
// with a host and a rule.
func BenchmarkTranslate(b *testing.B) {
	f := read(b)
	var backends []model.Backend
	var hosts []model.VirtualHost
	anchors := [][]byte{f.ca}
	for i := range 5000 {
		one := backend(fmt.Sprintf("s%d", i), f.strict(func(t *model.Trust) { t.Anchors = anchors }))
		backends = append(backends, one)
		hosts = append(hosts, host(one.Service.Name+".example.com", to(share(one, 1))))
	}
	g := gateway(backends, hosts...)
	b.ReportAllocs()
	for b.Loop() {
		if _, faults := envoy.Translate(g); len(faults) > 0 {
			b.Fatal(faults[0])
		}
	}
}

// BenchmarkEndpoints is the assignment of a Service with 100 endpoints.
func BenchmarkEndpoints(b *testing.B) {
	var endpoints []model.Endpoint
	for i := range 100 {
		address := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		endpoints = append(endpoints, model.Endpoint{Address: netip.AddrPortFrom(address, 443), Ready: true})
	}
	b.ReportAllocs()
	for b.Loop() {
		envoy.Endpoints("default/api/443/0", endpoints)
	}
}
