package watch

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/operator/apitest"
)

// told passes on that the sink heard of the hot Service.
type told chan struct{}

func (t told) SetSlices(service types.NamespacedName, _ []*discoveryv1.EndpointSlice) {
	if service.Name == "hot" {
		t <- struct{}{}
	}
}

func benchSlice(service, address string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		Namespace: "web", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}}},
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(8443))}},
	}
}

// BenchmarkEndpointSlice is the time from a write to the API server until the
// sink knows of it, among so many Services with a slice each.
func BenchmarkEndpointSlice(b *testing.B) {
	for _, services := range []int{100, 5000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			server := apitest.New(b)
			for i := range services {
				name := fmt.Sprintf("s-%d", i)
				server.Put(&corev1.Service{Namespace: "web", Name: name}, benchSlice(name, "10.0.0.1"))
			}
			log := slog.New(slog.DiscardHandler)
			objects, err := NewCache(server.Config(), log)
			if err != nil {
				b.Fatal(err)
			}
			reader, err := NewReader(server.Config())
			if err != nil {
				b.Fatal(err)
			}
			heard := make(told)
			source := New(Config{Cache: objects, Client: reader, Log: log, Endpoints: heard})
			ctx, stop := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = objects.Start(ctx) })
			running.Go(func() { _ = source.Run(ctx) })
			<-source.Changes()
			n := 0
			for b.Loop() {
				n++
				server.Put(benchSlice("hot", fmt.Sprintf("10.1.%d.%d", n/250%250, n%250+1)))
				<-heard
			}
			stop()
			running.Wait()
		})
	}
}

// BenchmarkStatus is an event that brings our own status of one of so many
// policies.
func BenchmarkStatus(b *testing.B) {
	for _, policies := range []int{100, 5000} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			source := New(Config{Log: slog.New(slog.DiscardHandler)})
			source.synced = true
			policy := func(i int, message string) *gatewayv1.BackendTLSPolicy {
				return &gatewayv1.BackendTLSPolicy{
					Namespace: "web", Name: fmt.Sprintf("p-%d", i),
					Status: gatewayv1.PolicyStatus{Ancestors: []gatewayv1.PolicyAncestorStatus{{
						ControllerName: gwapi.ControllerName,
						Conditions:     []metav1.Condition{{Type: "Accepted", Status: "True", Message: message}},
					}}},
				}
			}
			for i := range policies {
				source.tables.policies.put(policy(i, ""))
			}
			source.Snapshot()
			<-source.Changes()
			events := []*gatewayv1.BackendTLSPolicy{policy(0, "a"), policy(0, "b")}
			n := 0
			for b.Loop() {
				n++
				source.tables.policies.put(events[n%2])
			}
			if len(source.changes) > 0 {
				b.Fatal("it is a change")
			}
		})
	}
}
