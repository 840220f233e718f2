package matrix_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/test/pki"
)

// BenchmarkConnections is one connection with one request each, of a client on
// this machine: what a listener that verifies clients costs, which resumes no
// session. The client's part is in the time; envoy-ns/op is Envoy's alone, on the
// processor.
func BenchmarkConnections(b *testing.B) {
	for _, kind := range []pki.KeyType{pki.P256, pki.RSA2048} {
		title := map[pki.KeyType]string{pki.P256: "P-256", pki.RSA2048: "RSA-2048"}[kind]
		b.Run(title, func(b *testing.B) {
			h := newHouse(b, nil, keyType(kind))
			h.open(b, nil)
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				b.Run(strings.ReplaceAll(tls.VersionName(version), " ", "-"), func(b *testing.B) {
					h.benchmark(b, version)
				})
			}
		})
	}
}

func (h *house) benchmark(b *testing.B, version uint16) {
	b.Helper()
	nobody, valid := &visitor{}, h.shop.visitors()[1]
	for _, bench := range []struct {
		says    string
		at      *entrance
		visitor *visitor
		resumes bool
	}{
		{"no-certificate-asked-for/resumed", h.entrances[1], nobody, true},
		{"no-certificate-asked-for/full", h.entrances[1], nobody, false},
		{"AllowValidOnly", h.entrances[2], valid, false},
		{"AllowInsecureFallback/valid", h.entrances[3], valid, false},
		{"AllowInsecureFallback/none", h.entrances[3], nobody, false},
	} {
		b.Run(bench.says, func(b *testing.B) {
			v := visit{visitor: bench.visitor, version: version}
			if bench.resumes {
				v.sessions = tls.NewLRUClientSessionCache(4)
				h.ask(b, bench.at, v)
			}
			before := h.running.CPU(b)
			for b.Loop() {
				if a := h.ask(b, bench.at, v); a.status != http.StatusOK || a.resumed != bench.resumes {
					b.Fatalf("%+v", a)
				}
			}
			b.ReportMetric(float64((h.running.CPU(b)-before).Nanoseconds())/float64(b.N), "envoy-ns/op")
		})
	}
}
