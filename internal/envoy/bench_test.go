package envoy_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

// BenchmarkTranslate is a Gateway with 5,000 backends that share a CA, each
// with a host and a rule.
func BenchmarkTranslate(b *testing.B) { benchmarkTranslate(b, [][]byte{read(b).ca}) }

// BenchmarkTranslateSystemRoots is the same with the 200 KB of certificates
// that wellKnownCACertificates System means.
func BenchmarkTranslateSystemRoots(b *testing.B) {
	var roots [][]byte
	for root := range bundle.Roots() {
		roots = append(roots, root.Certificate)
	}
	slices.SortFunc(roots, bytes.Compare)
	benchmarkTranslate(b, roots)
}

func benchmarkTranslate(b *testing.B, anchors [][]byte) {
	b.Helper()
	f := read(b)
	var backends []model.Backend
	var hosts []model.VirtualHost
	digest := model.DigestAnchors(anchors)
	for i := range 5000 {
		one := backend(fmt.Sprintf("s%d", i), f.strict(func(t *model.Trust) {
			t.Anchors, t.AnchorsDigest = anchors, digest
		}))
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
