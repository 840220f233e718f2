package xds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// sockets identifies a client by the socket it came through.
type sockets struct {
	mu    sync.Mutex
	peers map[string]Peer
}

func (s *sockets) Identify(ctx context.Context) (Peer, error) {
	client, _ := peer.FromContext(ctx)
	proof, ok := client.AuthInfo.(UnixPeer)
	if !ok {
		return Peer{}, errors.New("no unix peer")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.peers[proof.Path]
	if !ok {
		return Peer{}, errors.New("nobody's socket")
	}
	if found.Name == panics {
		panic("an authenticator with a fault")
	}
	return found, nil
}

// panics is the name of a peer that the authenticator cannot bear.
const panics = "panics"

// harness is a server on unix sockets, one for each peer.
type harness struct {
	*Server
	t       *testing.T
	sockets *sockets
	dir     string
	count   int
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	known := &sockets{peers: map[string]Peer{}}
	server, err := New(Config{Authenticator: known, Credentials: UnixCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &harness{Server: server, t: t, sockets: known, dir: t.TempDir()}
}

// socket opens one for the peer; the zero Peer is nobody.
func (h *harness) socket(p Peer) string {
	h.t.Helper()
	h.count++
	path := filepath.Join(h.dir, fmt.Sprint(h.count))
	listening, err := (&net.ListenConfig{}).Listen(h.t.Context(), "unix", path)
	if err != nil {
		h.t.Fatal(err)
	}
	if p.Name != "" {
		h.sockets.mu.Lock()
		h.sockets.peers[path] = p
		h.sockets.mu.Unlock()
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(listening) }()
	h.t.Cleanup(func() {
		_ = listening.Close()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
	return path
}

func (h *harness) dial(path string) *grpc.ClientConn {
	h.t.Helper()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// connect is a client of the Gateway over gRPC.
func (h *harness) connect(gateway gwapi.Key, name string, options ...func(*client)) *client {
	h.t.Helper()
	conn := h.dial(h.socket(Peer{Gateway: gateway, Name: name}))
	ctx, stop := context.WithCancel(h.t.Context())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return newClient(h.t, stream, stop, options...)
}

// conversation is the client's side of a stream.
type conversation interface {
	Send(*discoveryv3.DeltaDiscoveryRequest) error
	Recv() (*discoveryv3.DeltaDiscoveryResponse, error)
}

// errHold makes a client neither accept nor refuse a response.
var errHold = errors.New("hold")

// client behaves like Envoy: it asks for all clusters and listeners, for the
// assignment of each cluster and the routes of each listener it has, and
// answers every response with an ACK, a NACK or, as a cluster that warms,
// not yet.
type client struct {
	t      *testing.T
	stream conversation
	stop   func()
	// judge decides about a response: nil accepts, errHold waits, anything else
	// refuses. It may be replaced under mu.
	judge func(k kind, r *discoveryv3.DeltaDiscoveryResponse) error
	node  *corev3.Node

	mu       sync.Mutex
	changed  chan struct{}
	have     [kinds]map[string]*discoveryv3.Resource
	asked    [kinds]map[string]bool
	received []*discoveryv3.DeltaDiscoveryResponse
	held     []*discoveryv3.DeltaDiscoveryResponse
	faults   []string
	ended    bool
	err      error
}

// from makes the client say that it has these resources already.
func from(before *client) func(*client) {
	return func(c *client) {
		before.mu.Lock()
		defer before.mu.Unlock()
		for k := range kinds {
			c.have[k] = maps.Clone(before.have[k])
			c.asked[k] = maps.Clone(before.asked[k])
		}
	}
}

// judging sets the judge.
func judging(judge func(kind, *discoveryv3.DeltaDiscoveryResponse) error) func(*client) {
	return func(c *client) { c.judge = judge }
}

// named sets what the client claims to be.
func named(id, cluster string) func(*client) {
	return func(c *client) { c.node = &corev3.Node{Id: id, Cluster: cluster} }
}

func newClient(t *testing.T, stream conversation, stop func(), options ...func(*client)) *client {
	c := &client{t: t, stream: stream, stop: stop, changed: make(chan struct{}, 1)}
	for k := range kinds {
		c.have[k] = map[string]*discoveryv3.Resource{}
		c.asked[k] = map[string]bool{}
	}
	for _, option := range options {
		option(c)
	}
	c.mu.Lock()
	c.begin(clusters)
	c.begin(assignments, slices.Sorted(maps.Keys(c.asked[assignments]))...)
	c.begin(listeners)
	c.begin(routes, slices.Sorted(maps.Keys(c.asked[routes]))...)
	c.mu.Unlock()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.run()
	}()
	t.Cleanup(func() { stop(); <-finished })
	return c
}

// begin sends the first request of a type.
func (c *client) begin(k kind, names ...string) {
	if len(names) == 0 && !k.wildcard() {
		return
	}
	initial := map[string]string{}
	for name, resource := range c.have[k] {
		initial[name] = resource.GetVersion()
	}
	c.send(&discoveryv3.DeltaDiscoveryRequest{
		Node: c.node, TypeUrl: k.typeURL(), ResourceNamesSubscribe: names, InitialResourceVersions: initial,
	})
}

// send ignores errors: run notices the end of the stream.
func (c *client) send(request *discoveryv3.DeltaDiscoveryRequest) { _ = c.stream.Send(request) }

func (c *client) run() {
	for {
		response, err := c.stream.Recv()
		c.mu.Lock()
		if err != nil {
			c.ended, c.err = true, err
			c.signal()
			c.mu.Unlock()
			return
		}
		c.take(response)
		c.signal()
		c.mu.Unlock()
	}
}

func (c *client) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *client) take(response *discoveryv3.DeltaDiscoveryResponse) {
	k, ok := kindOf(response.GetTypeUrl())
	if !ok {
		c.faults = append(c.faults, "unknown type "+response.GetTypeUrl())
		return
	}
	c.received = append(c.received, response)
	var verdict error
	if c.judge != nil {
		verdict = c.judge(k, response)
	}
	switch {
	case verdict == nil:
		c.accept(k, response)
	case errors.Is(verdict, errHold):
		c.held = append(c.held, response)
	default:
		c.send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(),
			ErrorDetail: &rpcstatus.Status{Code: int32(codes.InvalidArgument), Message: verdict.Error()},
		})
	}
}

// accept applies a response, asks for what it refers to, and says so.
func (c *client) accept(k kind, response *discoveryv3.DeltaDiscoveryResponse) {
	var wanted []string
	next := kind(-1)
	for _, resource := range response.GetResources() {
		c.have[k][resource.GetName()] = resource
		switch k {
		case clusters:
			next = assignments
			wanted = append(wanted, resource.GetName())
		case listeners:
			next = routes
			wanted = append(wanted, c.routesOf(resource)...)
		case routes:
			c.checkRoutes(resource)
		default:
		}
	}
	for _, name := range response.GetRemovedResources() {
		delete(c.have[k], name)
	}
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()})
	if k == clusters {
		c.drop(assignments, response.GetRemovedResources())
	}
	if next >= 0 {
		c.ask(next, wanted)
	}
}

// ask subscribes to the names that are new.
func (c *client) ask(k kind, names []string) {
	var fresh []string
	for _, name := range names {
		if !c.asked[k][name] {
			fresh = append(fresh, name)
		}
		c.asked[k][name] = true
	}
	if len(fresh) > 0 {
		c.send(&discoveryv3.DeltaDiscoveryRequest{
			Node: c.node, TypeUrl: k.typeURL(), ResourceNamesSubscribe: fresh,
		})
	}
}

// drop unsubscribes from the names that were asked for.
func (c *client) drop(k kind, names []string) {
	var gone []string
	for _, name := range names {
		if c.asked[k][name] {
			gone = append(gone, name)
		}
		delete(c.asked[k], name)
		delete(c.have[k], name)
	}
	if len(gone) > 0 {
		c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.typeURL(), ResourceNamesUnsubscribe: gone})
	}
}

func (c *client) routesOf(resource *discoveryv3.Resource) []string {
	var decoded listenerv3.Listener
	if err := resource.GetResource().UnmarshalTo(&decoded); err != nil {
		c.faults = append(c.faults, err.Error())
		return nil
	}
	names, err := routesOf(&decoded)
	if err != nil {
		c.faults = append(c.faults, err.Error())
	}
	return names
}

// checkRoutes notes a fault if a route names a cluster that is not there.
func (c *client) checkRoutes(resource *discoveryv3.Resource) {
	for _, name := range c.targets(resource) {
		if c.have[clusters][name] == nil {
			c.faults = append(c.faults, "route to the absent cluster "+name)
		}
	}
}

func (c *client) targets(resource *discoveryv3.Resource) (names []string) {
	var decoded routev3.RouteConfiguration
	if err := resource.GetResource().UnmarshalTo(&decoded); err != nil {
		c.faults = append(c.faults, err.Error())
		return nil
	}
	for _, host := range decoded.GetVirtualHosts() {
		for _, r := range host.GetRoutes() {
			names = append(names, r.GetRoute().GetCluster())
		}
	}
	return names
}

// release accepts what was held, and everything from now on.
func (c *client) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.judge = nil
	for _, response := range c.held {
		k, _ := kindOf(response.GetTypeUrl())
		c.accept(k, response)
	}
	c.held = nil
}

// await waits until the condition, which is called with the client locked,
// holds.
func (c *client) await(what string, holds func() bool) {
	c.t.Helper()
	limit := time.After(time.Minute)
	for {
		c.mu.Lock()
		ok := holds()
		state := c.state()
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-c.changed:
		case <-limit:
			c.t.Fatalf("waited in vain for %s; %s", what, state)
		}
	}
}

func (c *client) state() string {
	text := fmt.Sprintf("ended %v (%v)", c.ended, c.err)
	for k := range kinds {
		text += fmt.Sprintf(" %s%v", k, slices.Sorted(maps.Keys(c.have[k])))
	}
	return text
}

// awaitHas waits until the client has exactly these clusters.
func (c *client) awaitHas(names ...string) {
	c.t.Helper()
	slices.Sort(names)
	c.await(fmt.Sprintf("the clusters %v", names), func() bool {
		return slices.Equal(slices.Sorted(maps.Keys(c.have[clusters])), names)
	})
}

// awaitRoutes waits until the routes lead to exactly these clusters.
func (c *client) awaitRoutes(names ...string) {
	c.t.Helper()
	slices.Sort(names)
	c.await(fmt.Sprintf("routes to %v", names), func() bool {
		resource := c.have[routes][thePort]
		return resource != nil && slices.Equal(slices.Sorted(slices.Values(c.targets(resource))), names)
	})
}

// awaitEnd waits for the end of the stream and returns why it ended.
func (c *client) awaitEnd() error {
	c.t.Helper()
	c.await("the end of the stream", func() bool { return c.ended })
	return c.err
}

// check fails the test for everything that was wrong on the way.
func (c *client) check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fault := range c.faults {
		c.t.Error(fault)
	}
}

// count is how many responses of a kind came.
func (c *client) count(k kind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, response := range c.received {
		if response.GetTypeUrl() == k.typeURL() {
			n++
		}
	}
	return n
}

// timesSent is how often a resource came.
func (c *client) timesSent(k kind, name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, response := range c.received {
		for _, resource := range response.GetResources() {
			if response.GetTypeUrl() == k.typeURL() && resource.GetName() == name {
				n++
			}
		}
	}
	return n
}

// eventually waits for a condition of the server's side, looking again at each
// of its changes, and now and then for what the ledger does not tell.
func (h *harness) eventually(what string, holds func() bool) {
	h.t.Helper()
	limit := time.After(time.Minute)
	for !holds() {
		select {
		case <-h.Changes():
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			h.t.Fatalf("waited in vain for %s; ledger %+v", what, h.Envoys())
		}
	}
}

// settledTo asks whether envoy-1 of web has settled that share.
func (h *harness) settledTo(key gwapi.Key, share string) func() bool {
	return func() bool {
		envoys := h.Envoys()[web]
		return len(envoys) > 0 && envoys[0].Name == "envoy-1" && envoys[0].Settled[key] == share
	}
}
