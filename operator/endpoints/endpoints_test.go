package endpoints_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/endpoints"
)

// published keeps the addresses last published for each cluster.
type published struct {
	mu     sync.Mutex
	latest map[string][]string
	calls  int
}

func (p *published) SetEndpoints(gateway gwapi.Key, assignment *endpointv3.ClusterLoadAssignment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	addresses := []string{}
	for _, locality := range assignment.GetEndpoints() {
		for _, endpoint := range locality.GetLbEndpoints() {
			socket := endpoint.GetEndpoint().GetAddress().GetSocketAddress()
			addresses = append(addresses, fmt.Sprintf("%s:%d", socket.GetAddress(), socket.GetPortValue()))
		}
	}
	slices.Sort(addresses)
	if p.latest == nil {
		p.latest = map[string][]string{}
	}
	p.latest[gateway.Name+" "+assignment.GetClusterName()] = addresses
}

func (p *published) take() map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	latest := p.latest
	p.latest = nil
	return latest
}

var site = snapshot.Site{Standalone: true}

func key(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindGateway, "default", name) }

func service(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: name}
}

func backend(name, policy string) model.Backend {
	return model.Backend{
		Service: gwapi.KeyOf(gwapi.KindService, "default", name), Port: 443, PortName: "https", Protocol: model.HTTP1,
		Trust: &model.Trust{Policy: gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", policy)},
	}
}

func slice(name string, port int32, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		Namespace: "default", Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: &port}},
	}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return s
}

func expect(t *testing.T, p *published, want map[string][]string) {
	t.Helper()
	if diff := cmp.Diff(want, p.take()); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestAClusterHasAnAssignmentFromTheStart(t *testing.T) {
	p := &published{}
	e := endpoints.New(site, p)
	api := backend("api", "strict")
	e.Sync(key("web"), []model.Backend{api})
	expect(t, p, map[string][]string{"web " + api.Name(): {}})
	e.SetSlices(service("api"), []*discoveryv1.EndpointSlice{slice("api", 8443, "127.0.0.2", "127.0.0.3")})
	expect(t, p, map[string][]string{"web " + api.Name(): {"127.0.0.2:8443", "127.0.0.3:8443"}})
}

func TestOnlyTheServicesOwnClustersArePublished(t *testing.T) {
	p := &published{}
	e := endpoints.New(site, p)
	strict, pinned, db := backend("api", "strict"), backend("api", "pinned"), backend("db", "strict")
	e.SetSlices(service("api"), []*discoveryv1.EndpointSlice{slice("api", 1, "127.0.0.2")})
	expect(t, p, nil)
	e.Sync(key("web"), []model.Backend{strict, db})
	e.Sync(key("other"), []model.Backend{pinned})
	expect(t, p, map[string][]string{
		"web " + strict.Name(): {"127.0.0.2:1"}, "web " + db.Name(): {}, "other " + pinned.Name(): {"127.0.0.2:1"},
	})
	e.SetSlices(service("api"), []*discoveryv1.EndpointSlice{slice("api", 1, "127.0.0.9")})
	expect(t, p, map[string][]string{
		"web " + strict.Name(): {"127.0.0.9:1"}, "other " + pinned.Name(): {"127.0.0.9:1"},
	})
	e.SetSlices(service("api"), nil)
	expect(t, p, map[string][]string{"web " + strict.Name(): {}, "other " + pinned.Name(): {}})
}

func TestABackendThatGetsCopiesTooHasItsEndpointsInBothClusters(t *testing.T) {
	p := &published{}
	e := endpoints.New(site, p)
	api, db := backend("api", "strict"), backend("db", "strict")
	copies := api
	copies.Mirror = true
	e.Sync(key("web"), []model.Backend{api, copies, db})
	expect(t, p, map[string][]string{"web " + api.Name(): {}, "web " + copies.Name(): {}, "web " + db.Name(): {}})
	e.SetSlices(service("api"), []*discoveryv1.EndpointSlice{slice("api", 1, "127.0.0.2")})
	expect(t, p, map[string][]string{"web " + api.Name(): {"127.0.0.2:1"}, "web " + copies.Name(): {"127.0.0.2:1"}})
	e.Sync(key("web"), []model.Backend{api, db})
	e.SetSlices(service("api"), nil)
	expect(t, p, map[string][]string{"web " + api.Name(): {}})
}

func TestAClusterThatIsGoneIsNotPublishedAgain(t *testing.T) {
	p := &published{}
	e := endpoints.New(site, p)
	old, renewed := backend("api", "old"), backend("api", "renewed")
	e.Sync(key("web"), []model.Backend{old})
	e.Sync(key("web"), []model.Backend{renewed})
	p.take()
	e.SetSlices(service("api"), []*discoveryv1.EndpointSlice{slice("api", 1, "127.0.0.2")})
	expect(t, p, map[string][]string{"web " + renewed.Name(): {"127.0.0.2:1"}})
	e.Forget(key("web"))
	e.SetSlices(service("api"), nil)
	expect(t, p, nil)
}

func TestWhatIsSyncedAgainIsNotPublishedAgain(t *testing.T) {
	p := &published{}
	e := endpoints.New(site, p)
	e.Sync(key("web"), []model.Backend{backend("api", "strict")})
	before := p.calls
	e.Sync(key("web"), []model.Backend{backend("api", "strict")})
	if p.calls != before {
		t.Errorf("published %d times for nothing new", p.calls-before)
	}
}

// TestConcurrentChangesEndInTheNewest lets slices and clusters change at once:
// whatever the order, what is published last is what is there at the end.
func TestConcurrentChangesEndInTheNewest(t *testing.T) {
	p := &published{}
	e := endpoints.New(site, p)
	api := backend("api", "strict")
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 200 {
			e.SetSlices(service("api"), []*discoveryv1.EndpointSlice{slice("api", int32(1000+i), "127.0.0.2")})
		}
	})
	both.Go(func() {
		for range 200 {
			e.Sync(key("web"), []model.Backend{api})
			e.Sync(key("web"), nil)
		}
		e.Sync(key("web"), []model.Backend{api})
	})
	both.Wait()
	if got := p.take()["web "+api.Name()]; !slices.Equal(got, []string{"127.0.0.2:1199"}) {
		t.Errorf("published last: %v", got)
	}
}

// BenchmarkSetSlices is one endpoint change among many Services: the cost must
// not depend on how many there are.
func BenchmarkSetSlices(b *testing.B) {
	for _, services := range []int{100, 5000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			e := endpoints.New(site, &published{})
			backends := make([]model.Backend, services)
			for i := range backends {
				name := fmt.Sprintf("service-%d", i)
				backends[i] = backend(name, "strict")
				e.SetSlices(service(name), []*discoveryv1.EndpointSlice{slice(name, 8443, "127.0.0.2", "127.0.0.3")})
			}
			e.Sync(key("web"), backends)
			changed := []*discoveryv1.EndpointSlice{slice("service-7", 8443, "127.0.0.2", "127.0.0.4")}
			b.ReportAllocs()
			for b.Loop() {
				e.SetSlices(service("service-7"), changed)
			}
		})
	}
}
