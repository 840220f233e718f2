package process

import (
	"testing"

	"github.com/backendtls/backendtls/internal/envoy"
)

func TestConnectionsFitIntoTheFilesThatMayBeOpen(t *testing.T) {
	for files, want := range map[uint64]int64{
		256:            64,
		1024:           256,
		4096:           1792,
		100511:         49999,
		100512:         envoy.DefaultConnections,
		1 << 20:        envoy.DefaultConnections,
		^uint64(0):     envoy.DefaultConnections, // RLIM_INFINITY
		^uint64(0) - 1: envoy.DefaultConnections,
	} {
		if got := fitting(files); got != want {
			t.Errorf("%d files: %d connections, want %d", files, got, want)
		}
	}
}
