package process_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	cachetypes "github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/operator/process"
	"github.com/backendtls/backendtls/test/port"
)

// delay is how long the Envoys of these tests take to answer.
const delay = 5 * time.Second

// realEnvoy is a config with the Envoy that ENVOY names.
func realEnvoy(t *testing.T) process.Config {
	t.Helper()
	path := os.Getenv("ENVOY")
	if path == "" {
		t.Fatal("ENVOY is not set: name an Envoy binary; `make test` fetches one and sets it")
	}
	binary, err := process.Check(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	// Whatever has begun ends well within the grace.
	return process.Config{Envoy: binary.Path, Backoff: 20 * time.Millisecond, Drain: drains(6 * delay)}
}

// plane is a control plane that gives every Envoy one listener, which answers
// 200 after a delay.
type plane struct {
	server  *grpc.Server
	address string

	mu    sync.Mutex
	peers []int
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	p := &plane{server: grpc.NewServer(), address: fmt.Sprintf("127.0.0.1:%d", port.Free(t))}
	snapshot, err := cachev3.NewSnapshot("1", map[resourcev3.Type][]cachetypes.Resource{
		resourcev3.ListenerType: {slowListener(t, p.address)},
	})
	if err != nil {
		t.Fatal(err)
	}
	cache := cachev3.NewSnapshotCache(false, oneNode{}, nil)
	if err := cache.SetSnapshot(t.Context(), "", snapshot); err != nil {
		t.Fatal(err)
	}
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(p.server, serverv3.NewServer(t.Context(), cache, nil))
	t.Cleanup(p.server.Stop)
	return p
}

// oneNode gives every node the same resources.
type oneNode struct{}

func (oneNode) ID(*corev3.Node) string { return "" }

func (p *plane) serve(_ gwapi.Key, listener net.Listener) error {
	return p.server.Serve(peerListener{Listener: listener, plane: p})
}

// peerListener notes whose connections it accepts.
type peerListener struct {
	net.Listener

	plane *plane
}

func (l peerListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	raw, err := connection.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			l.plane.mu.Lock()
			defer l.plane.mu.Unlock()
			l.plane.peers = append(l.plane.peers, int(peer.Pid))
		}
	})
	return connection, err
}

func (p *plane) peer() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.peers) == 0 {
		return 0
	}
	return p.peers[len(p.peers)-1]
}

func slowListener(t *testing.T, address string) *listenerv3.Listener {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: "in",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{
				Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
					Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
					Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
						Status: http.StatusOK,
					}},
				}},
			}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: "fault", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &faultv3.HTTPFault{
				Delay: &commonfaultv3.FaultDelay{
					FaultDelaySecifier: &commonfaultv3.FaultDelay_FixedDelay{FixedDelay: durationpb.New(delay)},
					Percentage:         &typev3.FractionalPercent{Numerator: 100},
				},
			})}},
			{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &routerv3.Router{})}},
		},
	}
	return &listenerv3.Listener{
		Name: "slow",
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address:       tcp.IP.String(),
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(tcp.Port)},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(t, manager)},
		}}}},
	}
}

func packed(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	value, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// answers says whether a new connection to the address is accepted.
func answers(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: time.Second}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// runEnvoy runs a real Envoy and waits until it listens where the plane says.
func runEnvoy(t *testing.T) (*harness, *plane) {
	t.Helper()
	p := newPlane(t)
	config := realEnvoy(t)
	config.Serve = p.serve
	h := run(t, config)
	h.Put(gateways(web))
	eventually(t, "Envoy listens", func() bool { return answers(t.Context(), p.address) })
	return h, p
}

func TestARealEnvoyIsServedOverItsSocketAndKnownByItsPID(t *testing.T) {
	h, p := runEnvoy(t)
	name, pid := h.envoy(web)
	if p.peer() != pid {
		t.Errorf("process %d speaks xDS, want %s", p.peer(), name)
	}
	h.end()
	if !gone(pid) || answers(t.Context(), p.address) {
		t.Error("it lives on")
	}
	if h.log.count("WARN", "in flight") != 0 {
		t.Error("a drain without requests failed")
	}
	if h.log.count("envoy says", `"logger":"main"`, "SIGTERM") != 1 {
		t.Error("Envoy's log does not come through in its parts")
	}
}

func TestARealEnvoyThatIsKilledComesBack(t *testing.T) {
	h, p := runEnvoy(t)
	name, pid := h.envoy(web)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, again := h.envoy(web, name)
	eventually(t, "the new one listens", func() bool { return p.peer() == again && answers(t.Context(), p.address) })
}

func TestARealEnvoyFinishesWhatItBegan(t *testing.T) {
	h, p := runEnvoy(t)
	dialer := net.Dialer{}
	connection, err := dialer.DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	began := time.Now()
	if _, err := fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, pid := h.envoy(web)
	awaitRequest(t, h)

	h.Put(gateways())
	eventually(t, "new connections are refused", func() bool { return !answers(t.Context(), p.address) })
	if took := time.Since(began); took >= delay {
		t.Fatalf("new connections were accepted for %s, until the last request was done", took)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("the request in flight was cut off: %v", err)
	}
	if _, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("answer %s, close %v (%v); want 200 and the word to close", response.Status, response.Close, err)
	}
	_ = response.Body.Close()
	eventually(t, "Envoy ends", func() bool { return gone(pid) })
	if h.log.count("WARN", "in flight") != 0 {
		t.Error("the log complains of requests in flight")
	}
}

// awaitRequest waits until Envoy has a request in flight.
func awaitRequest(t *testing.T, h *harness) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", adminOf(t, h))
		},
	}}
	eventually(t, "the request is in flight", func() bool {
		response, err := client.Get("http://envoy/stats?filter=http.in.downstream_rq_active")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		stats, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(stats), "downstream_rq_active: 1")
	})
}

// adminOf is the admin socket as the log names it.
func adminOf(t *testing.T, h *harness) string {
	t.Helper()
	_, after, _ := strings.Cut(h.log.String(), `"admin":"`)
	path, _, found := strings.Cut(after, `"`)
	if !found {
		t.Fatal("the log does not name the admin socket")
	}
	return path
}

func TestARealEnvoyEndsWithAnOperatorThatIsKilled(t *testing.T) {
	killOperator(t, realEnvoy(t).Envoy, "", func(pid int) bool {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err == nil && strings.TrimSpace(string(name)) == "envoy"
	})
}

func TestARealEnvoyThatRefusesItsBootstrapSaysWhy(t *testing.T) {
	config := realEnvoy(t)
	config.LogLevel = "loud"
	h := run(t, config)
	h.Put(gateways(web))
	eventually(t, "its end is logged", func() bool { return h.log.count("ERROR", "envoy ended: exit status 1") > 0 })
	if h.log.count("WARN", "loud") == 0 {
		t.Error("the log lacks Envoy's own words")
	}
}
