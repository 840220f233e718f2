package xds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/backendtls/backendtls/internal/gwapi"
)

func TestAServerIsRefusedWithoutIdentityOrCredentials(t *testing.T) {
	known := &sockets{}
	for name, config := range map[string]Config{
		"no authenticator":     {Credentials: UnixCredentials()},
		"no credentials":       {Authenticator: known},
		"insecure credentials": {Authenticator: known, Credentials: insecure.NewCredentials()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(config); err == nil {
				t.Error("a server was made")
			}
		})
	}
}

// open opens a stream of any method.
func open(t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(t.Context(),
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestEveryMethodOfTheServerIsRefusedWithoutIdentity(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	conn := h.dial(h.socket(Peer{}))
	methods := 0
	for service, info := range h.grpc.GetServiceInfo() {
		for _, method := range info.Methods {
			methods++
			stream := open(t, conn, "/"+service+"/"+method.Name)
			request := &discoveryv3.DeltaDiscoveryRequest{
				TypeUrl: clusters.typeURL(), Node: &corev3.Node{Id: "envoy-1", Cluster: "edge/web"},
			}
			// The server may have ended the stream already.
			_ = stream.SendMsg(request)
			err := stream.RecvMsg(&discoveryv3.DeltaDiscoveryResponse{})
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s answered %v, want Unauthenticated", method.Name, err)
			}
		}
	}
	if methods != 2 {
		t.Errorf("the server has %d methods, want the two streams of ADS only", methods)
	}
	if len(h.Envoys()) != 0 {
		t.Errorf("the ledger has %v", h.Envoys())
	}
}

func TestOnlyDeltaStreamsAreServed(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	conn := h.dial(h.socket(Peer{Gateway: web, Name: "envoy-1"}))
	for _, method := range []string{
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources",
		"/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters",
		"/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters",
		"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
		"/grpc.health.v1.Health/Check",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
	} {
		stream := open(t, conn, method)
		_ = stream.SendMsg(&discoveryv3.DiscoveryRequest{TypeUrl: clusters.typeURL()})
		if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s answered %v, want Unimplemented", method, err)
		}
	}
	if _, err := refuseUnary(t.Context(), nil, nil, nil); status.Code(err) != codes.Unimplemented {
		t.Errorf("a unary method would answer %v", err)
	}
}

func TestAPeerWithoutGatewayOrWithAnExpiredProofIsRefused(t *testing.T) {
	h := newHarness(t)
	for name, p := range map[string]Peer{
		"no gateway": {Name: "envoy-1"},
		"expired":    {Name: "envoy-1", Gateway: web, Expires: time.Now().Add(-time.Second)},
	} {
		c := newClientOf(h, p)
		if err := c.awaitEnd(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: ended with %v, want Unauthenticated", name, err)
		}
	}
}

func newClientOf(h *harness, p Peer) *client {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(h.dial(h.socket(p))).DeltaAggregatedResources(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return newClient(h.t, stream, stop)
}

func TestAStreamEndsWhenTheProofOfItsPeerDoes(t *testing.T) {
	h := newHarness(t)
	c := newClientOf(h, Peer{Name: "envoy-1", Gateway: web, Expires: time.Now().Add(300 * time.Millisecond)})
	if err := c.awaitEnd(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("ended with %v, want Unauthenticated", err)
	}
}

func TestAnEnvoyCountsAsConnectedOnceItHasSaidWhichClustersItHas(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	stream := open(t, h.dial(h.socket(Peer{Gateway: web, Name: "envoy-1"})),
		discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName)
	h.eventually("the stream", func() bool { return len(h.Envoys()[web]) == 1 })
	if ledger(t, h.Server, web, "envoy-1").Connected {
		t.Error("it counts as connected, with clusters that nobody knows")
	}
	for _, k := range []kind{listeners, clusters} {
		if err := stream.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.typeURL()}); err != nil {
			t.Fatal(err)
		}
	}
	h.eventually("its clusters", func() bool { return ledger(t, h.Server, web, "envoy-1").Connected })
}

// unsure cannot tell who anybody is.
type unsure struct{}

func (unsure) Identify(context.Context) (Peer, error) {
	return Peer{}, fmt.Errorf("asking: %w", status.Error(codes.Unavailable, "nobody answers"))
}

func TestAPeerWhoCannotBeCheckedNowIsToldToComeBack(t *testing.T) {
	h := newHarness(t)
	h.config.Authenticator = unsure{}
	c := newClientOf(h, Peer{Gateway: web, Name: "envoy-1"})
	err := c.awaitEnd()
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("ended with %v, want Unavailable without the reason", err)
	}
	if len(h.Envoys()) != 0 {
		t.Errorf("the ledger has %v", h.Envoys())
	}
}

func TestAClientGetsItsOwnGatewayWhateverItClaims(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	h.Publish(other, serving(shares("1"), thePay))
	mine := h.connect(web, "envoy-1", named("envoy-2", "edge/other"))
	its := h.connect(other, "envoy-2", named("envoy-1", "edge/web"))
	mine.awaitRoutes(oldAPI)
	its.awaitRoutes(thePay)

	// The claim changes in the middle of the stream, and names are tried.
	mine.mu.Lock()
	mine.node = &corev3.Node{Id: "envoy-3", Cluster: "edge/other"}
	mine.ask(assignments, []string{thePay})
	mine.mu.Unlock()
	h.SetEndpoints(other, assignment(thePay, 1))
	h.SetEndpoints(web, assignment(oldAPI, 2))
	its.await("its endpoints", func() bool { return its.have[assignments][thePay] != nil })
	mine.await("my endpoints", func() bool { return mine.have[assignments][oldAPI] != nil })
	h.Publish(web, serving(shares("2"), newAPI))
	mine.awaitRoutes(newAPI)
	mine.awaitHas(newAPI)
	mine.mu.Lock()
	defer mine.mu.Unlock()
	for _, response := range mine.received {
		for _, resource := range response.GetResources() {
			if resource.GetName() == thePay {
				t.Errorf("got %s %s of another Gateway", response.GetTypeUrl(), thePay)
			}
		}
	}
	for gateway, name := range map[gwapi.Key]string{web: "envoy-1", other: "envoy-2"} {
		if envoys := h.Envoys()[gateway]; len(envoys) != 1 || envoys[0].Name != name {
			t.Errorf("the ledger of %s is %v, want %s", gateway, envoys, name)
		}
	}
}

func TestARequestIsStampedWithTheIdentityOfItsPeer(t *testing.T) {
	wire := &identified{ServerStream: receiving{}, peer: Peer{Gateway: web, Name: "envoy-1"}}
	request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: clusters.typeURL()}
	for range 2 {
		request.Node = &corev3.Node{Id: "liar", Cluster: "edge/other", UserAgentName: "x"}
		if err := wire.RecvMsg(request); err != nil {
			t.Fatal(err)
		}
		want := &corev3.Node{Id: "envoy-1", Cluster: "edge/web"}
		if !proto.Equal(request.GetNode(), want) {
			t.Errorf("the node is %v, want %v", request.GetNode(), want)
		}
	}
	if err := wire.RecvMsg(&discoveryv3.DiscoveryRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a request for the state of the world gave %v", err)
	}
}

// receiving is a stream whose messages are received as they are.
type receiving struct{ grpc.ServerStream }

func (receiving) RecvMsg(any) error { return nil }

func TestAStreamThatBreaksTheRulesEndsAndNobodyElses(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	good := h.connect(web, "envoy-0")
	good.awaitRoutes(oldAPI)
	many := make([]string, maxNames+1)
	for i := range many {
		many[i] = string(rune('a'+i%26)) + time.Duration(i).String()
	}
	for name, test := range map[string]struct {
		request *discoveryv3.DeltaDiscoveryRequest
		want    codes.Code
	}{
		"unknown type": {
			&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.service.runtime.v3.Runtime"},
			codes.InvalidArgument,
		},
		"no type": {&discoveryv3.DeltaDiscoveryRequest{}, codes.InvalidArgument},
		"too large": {
			&discoveryv3.DeltaDiscoveryRequest{
				TypeUrl: clusters.typeURL(), ResourceNamesSubscribe: []string{strings.Repeat("x", maxMessage)},
			},
			codes.ResourceExhausted,
		},
		"too many names": {
			&discoveryv3.DeltaDiscoveryRequest{TypeUrl: assignments.typeURL(), ResourceNamesSubscribe: many},
			codes.ResourceExhausted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.connect(web, "envoy-1")
			c.mu.Lock()
			c.send(test.request)
			c.mu.Unlock()
			if err := c.awaitEnd(); status.Code(err) != test.want {
				t.Errorf("ended with %v, want %s", err, test.want)
			}
		})
	}
	h.Publish(web, serving(shares("2"), newAPI))
	good.awaitRoutes(newAPI)
}

func TestAPanicEndsTheStreamOnly(t *testing.T) {
	h := newHarness(t)
	conn := h.dial(h.socket(Peer{Gateway: web, Name: panics}))
	stream := open(t, conn, discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName)
	if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) != codes.Internal {
		t.Errorf("ended with %v, want Internal", err)
	}
	h.Publish(web, serving(shares("1"), oldAPI))
	h.connect(web, "envoy-2").awaitRoutes(oldAPI)
}

func TestUnixCredentialsRefuseOtherNetworksAndClients(t *testing.T) {
	listening, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listening.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	proof := UnixCredentials()
	if _, _, err := proof.ServerHandshake(conn); err == nil || !strings.Contains(err.Error(), "want a unix socket") {
		t.Errorf("a TCP connection gave %v", err)
	}
	if _, _, err := proof.ClientHandshake(t.Context(), "", conn); !errors.Is(err, errServerOnly) {
		t.Errorf("a client handshake gave %v", err)
	}
	if got := proof.Clone().Info().SecurityProtocol; got != "unix-peercred" {
		t.Errorf("the protocol is %q", got)
	}
}

func TestUnixCredentialsTellTheProcessAndTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listening, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := listening.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	_, info, err := UnixCredentials().ServerHandshake(accepted)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := info.(UnixPeer)
	if !ok || got.PID != os.Getpid() || got.UID != uint32(os.Getuid()) || got.Path != path {
		t.Errorf("the peer is %+v", info)
	}
}

func TestAStoppedServerTakesNothingMore(t *testing.T) {
	h := newHarness(t)
	h.Publish(web, serving(shares("1"), oldAPI))
	c := h.connect(web, "envoy-1")
	c.awaitRoutes(oldAPI)
	h.Stop()
	if err := c.awaitEnd(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v, want Unavailable", err)
	}
	h.Publish(web, serving(shares("2"), newAPI))
	h.SetEndpoints(web, assignment(newAPI, 1))
	h.Withdraw(web, func(string) bool { return false })
	h.Forget(web)
	h.Gone(web, "envoy-1")
	if len(h.Envoys()) != 0 {
		t.Errorf("the ledger has %v", h.Envoys())
	}
}
