package files_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/operator/files"
)

// told passes on what the sink is told of one Service.
type told struct {
	service string
	slices  chan []*discoveryv1.EndpointSlice
}

func (s told) SetSlices(service types.NamespacedName, slices []*discoveryv1.EndpointSlice) {
	if service.Name == s.service {
		s.slices <- slices
	}
}

// BenchmarkEndpointChange is the time from writing a file with one
// EndpointSlice to the sink knowing it, among so many Services with a file of
// their own. The wait for files to settle is part of it.
func BenchmarkEndpointChange(b *testing.B) {
	for _, services := range []int{100, 5000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			dir := b.TempDir()
			for i := range services {
				name := fmt.Sprintf("app-%d", i)
				content := service(name) + policy(name, name, name+".example") + slice(name+"-1", name, "10.0.0.1")
				if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(content), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			sink := told{service: "hot", slices: make(chan []*discoveryv1.EndpointSlice, 1)}
			source, err := files.Open(files.Config{
				Dir: dir, Log: slog.New(slog.DiscardHandler), Now: time.Now, Endpoints: sink,
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- source.Run(ctx) }()
			<-source.Changes()
			n := 0
			for b.Loop() {
				n++
				content := slice("hot-1", "hot", fmt.Sprintf("10.1.%d.%d", n/250, n%250+1))
				if err := os.WriteFile(filepath.Join(dir, "hot.yaml"), []byte(content), 0o600); err != nil {
					b.Fatal(err)
				}
				<-sink.slices
			}
			stop()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}
