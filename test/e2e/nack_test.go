package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const clusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

// spoiler stands between the control plane and a real Envoy. While it spoils,
// every cluster that passes has a field that only Envoy itself refuses, so
// that the refusal is a real Envoy's, in its own words.
type spoiler struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	upstream discoveryv3.AggregatedDiscoveryServiceClient
	spoils   atomic.Bool
}

// newSpoiler listens where Envoy connects to, and connects to the server.
func newSpoiler(t *testing.T, listen, server string) *spoiler {
	t.Helper()
	connection, err := grpc.NewClient("unix:"+server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	s := &spoiler{upstream: discoveryv3.NewAggregatedDiscoveryServiceClient(connection)}
	listener, err := net.Listen("unix", listen)
	if err != nil {
		t.Fatal(err)
	}
	front := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(front, s)
	done := make(chan struct{})
	go func() { defer close(done); _ = front.Serve(listener) }()
	t.Cleanup(func() { front.Stop(); <-done; _ = connection.Close() })
	return s
}

// DeltaAggregatedResources passes messages in both directions.
func (s *spoiler) DeltaAggregatedResources(
	envoy grpc.BidiStreamingServer[discoveryv3.DeltaDiscoveryRequest, discoveryv3.DeltaDiscoveryResponse],
) error {
	ctx, stop := context.WithCancel(envoy.Context())
	defer stop()
	server, err := s.upstream.DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	var up sync.WaitGroup
	defer up.Wait()
	defer stop()
	up.Go(func() {
		defer stop()
		for {
			request, err := envoy.Recv()
			if err != nil || server.Send(request) != nil {
				return
			}
		}
	})
	for {
		response, err := server.Recv()
		if err != nil {
			return err
		}
		if response.GetTypeUrl() == clusterType && s.spoils.Load() {
			if err := spoil(response); err != nil {
				return err
			}
		}
		if err := envoy.Send(response); err != nil {
			return err
		}
	}
}

// spoil makes clusters that Envoy refuses: a connect timeout must be positive.
func spoil(response *discoveryv3.DeltaDiscoveryResponse) error {
	for _, resource := range response.GetResources() {
		if resource.GetResource() == nil {
			continue
		}
		var cluster clusterv3.Cluster
		if err := resource.GetResource().UnmarshalTo(&cluster); err != nil {
			return err
		}
		cluster.ConnectTimeout = durationpb.New(-time.Second)
		spoiled, err := anypb.New(&cluster)
		if err != nil {
			return err
		}
		resource.Resource = spoiled
	}
	return nil
}

// throughSpoiler assembles the rooms with a spoiler before the Envoy.
func (w *world) throughSpoiler() (*assembly, *spoiler) {
	w.t.Helper()
	front := filepath.Join(w.runtime, "front.sock")
	back := filepath.Join(w.runtime, "xds.sock")
	a := w.assembleAt(same, back, front)
	return a, newSpoiler(w.t, front, back)
}

func TestARefusedTighteningAnswers500OnOldAndNewStreams(t *testing.T) {
	f := newFixtures(t)
	w := newWorld(t)
	w.base(allowAll)
	w.write("service.yaml", service("api", "api.test", serve(t, f.good), "https")+
		service("neighbor", "neighbor.test", serve(t, f.good), "https"))
	w.write("neighbor.yaml", policy("neighbor", f.pinnedOnly(), options("pins", f.key(f.good))))
	w.write("policy.yaml", policy("api", f.pinnedOnly(), options("pins", f.key(f.good))))
	a, s := w.throughSpoiler()
	w.eventually("200 at first", func() bool {
		return w.programmed("api") && w.get("api.test") == http.StatusOK && w.get("neighbor.test") == http.StatusOK
	})
	tr := w.traffic("api.test")
	tr.both(w, time.Time{}, http.StatusOK)
	s.spoils.Store(true)
	w.write("policy.yaml", policy("api", f.pinnedOnly(), options("pins", f.key(f.self))))
	bound := time.Now().Add(time.Second)
	tr.both(w, bound, http.StatusInternalServerError)
	tr.none(t, bound, http.StatusOK, "the tightening that Envoy refused was made a second ago")
	tr.end()
	w.eventually("Programmed=False/Rejected in Envoy's words", func() bool {
		condition := w.policyCondition("api", "Programmed")
		return condition.Status == "False" && condition.Reason == "Rejected" &&
			strings.Contains(condition.Message, "Expected positive duration")
	})
	if got := w.get("neighbor.test"); got != http.StatusOK {
		t.Errorf("the neighbor got %d", got)
	}
	// The neighbor's cluster is good; only what is spoiled now stays refused.
	s.spoils.Store(false)
	a.restart()
	w.eventually("the neighbor is served by the new Envoy", func() bool { return w.get("neighbor.test") == http.StatusOK })
	if got := w.get("api.test"); got == http.StatusOK {
		t.Error("a new Envoy answers over the old trust")
	}
}

// puppet is an Envoy that acknowledges what it is told to, over real gRPC.
type puppet struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	got    chan *discoveryv3.DeltaDiscoveryResponse
}

func newPuppet(t *testing.T, socket string) *puppet {
	t.Helper()
	connection, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx,
		grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{t: t, stream: stream, got: make(chan *discoveryv3.DeltaDiscoveryResponse, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			response, err := stream.Recv()
			if err != nil {
				return
			}
			p.got <- response
		}
	}()
	t.Cleanup(func() { stop(); <-done; _ = connection.Close() })
	return p
}

func (p *puppet) send(request *discoveryv3.DeltaDiscoveryRequest) {
	p.t.Helper()
	if err := p.stream.Send(request); err != nil {
		p.t.Fatal(err)
	}
}

func (p *puppet) acknowledge(response *discoveryv3.DeltaDiscoveryResponse) {
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
}

// next waits for a response of the type; responses of others are acknowledged.
func (p *puppet) next(kind string) *discoveryv3.DeltaDiscoveryResponse {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case response := <-p.got:
			if strings.HasSuffix(response.GetTypeUrl(), "."+kind) {
				return response
			}
			p.acknowledge(response)
		case <-deadline.C:
			p.t.Fatalf("no %s was sent", kind)
		}
	}
}

func TestProgrammedWaitsForTheLastAcknowledgement(t *testing.T) {
	f := newFixtures(t)
	w := newWorld(t)
	w.base(allowAll)
	w.write("service.yaml", service("api", "api.test", serve(t, f.good), "https"))
	w.write("policy.yaml", policy("api", f.pinnedOnly(), options("pins", f.key(f.good))))
	socket := filepath.Join(w.runtime, "xds.sock")
	w.assembleAs(same, socket, fmt.Sprintf("envoy-%d", os.Getpid()))
	p := newPuppet(t, socket)
	pending := func(after string) {
		t.Helper()
		w.eventually("Programmed=False/Pending that names the Envoy, after "+after, func() bool {
			condition := w.policyCondition("api", "Programmed")
			return condition.Status == "False" && condition.Reason == "Pending" &&
				strings.Contains(condition.Message, fmt.Sprintf("envoy-%d", os.Getpid()))
		})
	}
	const prefix = "type.googleapis.com/envoy.config."
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: clusterType})
	clusters := p.next("Cluster")
	pending("the clusters were sent")
	// Listeners and routes do not wait forever for an Envoy that keeps silent,
	// but Programmed does.
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: prefix + "listener.v3.Listener"})
	listeners := p.next("Listener")
	p.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl:                prefix + "route.v3.RouteConfiguration",
		ResourceNamesSubscribe: []string{fmt.Sprintf("http/%d", w.gateway.Port())},
	})
	routes := p.next("RouteConfiguration")
	pending("everything was sent")
	p.acknowledge(listeners)
	p.acknowledge(routes)
	pending("everything but the clusters was acknowledged")
	p.acknowledge(clusters)
	w.eventually("Programmed=True", func() bool { return w.programmed("api") })
}
