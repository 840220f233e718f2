package xds

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/port"
)

// rig is a real Envoy of web, its control plane, and a TLS backend.
type rig struct {
	*harness
	backend *httptest.Server
	port    int32
	runtime string
	words   *bytes.Buffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Getenv("ENVOY") == "" {
		t.Fatal("ENVOY is not set: name an Envoy binary; `make test` fetches one and sets it")
	}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	// A refused handshake is what some of these tests are about.
	backend.Config.ErrorLog = log.New(io.Discard, "", 0)
	backend.StartTLS()
	t.Cleanup(backend.Close)
	return &rig{
		harness: newHarness(t), backend: backend, port: int32(port.Free(t)), runtime: t.TempDir(), words: &bytes.Buffer{},
	}
}

// run starts an Envoy of that name at the socket, and returns what ends it.
func (r *rig) run(name, socket string) (stop func()) {
	r.t.Helper()
	config, err := envoy.Bootstrap(envoy.BootstrapConfig{
		NodeID: "liar", NodeCluster: "edge/other", Connections: 100,
		XDSSocket: socket, AdminSocket: filepath.Join(r.runtime, name),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	file := filepath.Join(r.runtime, name+".json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		r.t.Fatal(err)
	}
	command := exec.CommandContext(r.t.Context(), os.Getenv("ENVOY"), "--config-path", file,
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
	command.Stdout, command.Stderr = io.Discard, r.words
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = command.Process.Kill(); _ = command.Wait() })
	r.t.Cleanup(func() {
		stop()
		if r.t.Failed() {
			r.t.Logf("envoy wrote: %.4000s", r.words)
		}
	})
	return stop
}

// trusting is the Gateway whose only route leads to the backend under the
// trust; its port is a free one.
func (r *rig) trusting(trust *model.Trust) model.Gateway {
	service := gwapi.KeyOf(gwapi.KindService, "shop", "api")
	backend := model.Backend{Service: service, Port: 443, Protocol: model.HTTP1, Trust: trust}
	rule := model.Rule{
		Route: route, Match: model.Match{Path: model.ValueMatch{Kind: model.Prefix, Value: "/"}},
		Split: []model.WeightedBackend{{Backend: backend.Name(), Weight: 1}},
	}
	return model.Gateway{
		Key: web, Address: "127.0.0.1", ExclusivePorts: true,
		Listeners: []model.Listener{{
			Port: r.port, Protocol: model.HTTP,
			Servers: []model.Server{{Name: "http", Hosts: []model.VirtualHost{{Rules: []model.Rule{rule}}}}},
		}},
		Backends: []model.Backend{backend},
	}
}

func trustPinned(p pin.Pin) *model.Trust {
	return &model.Trust{Policy: policy, Mode: model.Standard, SNI: "example.com", Leaves: []pin.Pin{p}}
}

// publish publishes the Gateway under the share, tampered with.
func (r *rig) publish(share string, gateway model.Gateway, tamper ...func(*Publication)) string {
	r.t.Helper()
	resources, faults := envoy.Translate(gateway)
	if len(faults) > 0 {
		r.t.Fatal(faults)
	}
	name := gateway.Backends[0].Name()
	address := netip.MustParseAddrPort(r.backend.Listener.Addr().String())
	r.SetEndpoints(web, envoy.Endpoints(name, []model.Endpoint{{Address: address, Ready: true}}))
	p := Publication{Resources: resources, Shares: map[gwapi.Key]string{policy: share, route: share, web: share}}
	for _, change := range tamper {
		change(&p)
	}
	r.Publish(web, p)
	return name
}

// get is the status that Envoy answers, 0 if it does not.
func (r *rig) get() int {
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet,
		fmt.Sprintf("http://127.0.0.1:%d/", r.port), http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

func (r *rig) settles(key gwapi.Key, share string) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%s to settle %q", key, share), r.settledTo(key, share))
}

func (r *rig) expect(what string, want int) {
	r.t.Helper()
	if got := r.get(); got != want {
		r.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// refused puts names into a trust without a CA, which passes Envoy's rules for
// fields and is refused when the cluster is made.
func refused(p *Publication) {
	for _, cluster := range p.Resources.Clusters {
		var upstream tlsv3.UpstreamTlsContext
		if cluster.GetTransportSocket().GetTypedConfig().UnmarshalTo(&upstream) != nil {
			continue
		}
		upstream.GetCommonTlsContext().GetValidationContext().MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{{
			SanType: tlsv3.SubjectAltNameMatcher_DNS,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "example.com"}},
		}}
		packed, err := anypb.New(&upstream)
		if err == nil {
			cluster.TransportSocket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: packed}
		}
	}
}

func TestARealEnvoySettlesWhatItServes(t *testing.T) {
	r := newRig(t)
	good, bad := pin.OfKey(r.backend.Certificate()), pin.Pin{Kind: pin.SPKI}
	r.publish("1", r.trusting(trustPinned(good)))
	r.run("envoy-1", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.settles(web, "1")
	r.expect("the right pin", http.StatusOK)
	for i := range 10 {
		share := fmt.Sprint("tight", i)
		name := r.publish(share, r.trusting(trustPinned(bad)))
		r.settles(policy, share)
		r.expect("a wrong pin", http.StatusServiceUnavailable)
		if held := heldNames(ledger(t, r.Server, web, "envoy-1")); held != "["+name+"]" {
			t.Errorf("holds %s, want the new cluster only", held)
		}
		share = fmt.Sprint("right", i)
		r.publish(share, r.trusting(trustPinned(good)))
		r.settles(policy, share)
		r.expect("the right pin", http.StatusOK)
	}
}

func TestARealEnvoyAnswers200AllTheWayFromOneTrustToTheNext(t *testing.T) {
	r := newRig(t)
	gateway := func(i int) model.Gateway {
		trust := trustPinned(pin.OfKey(r.backend.Certificate()))
		trust.Leaves = append(trust.Leaves, pin.Pin{Kind: pin.Certificate, Sum: [32]byte{byte(i)}})
		return r.trusting(trust)
	}
	r.publish("0", gateway(0))
	r.run("envoy-1", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.settles(web, "0")
	done, traffic := make(chan struct{}), sync.WaitGroup{}
	answers := map[int]int{}
	traffic.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				answers[r.get()]++
			}
		}
	})
	for i := range 20 {
		r.publish(fmt.Sprint(i+1), gateway(i+1))
		r.settles(web, fmt.Sprint(i+1))
	}
	close(done)
	traffic.Wait()
	if len(answers) != 1 || answers[http.StatusOK] == 0 {
		t.Errorf("the answers were %v, want 200 only", answers)
	}
}

func TestARealEnvoyThatRefusesATighteningAnswers500OnTheOldAndOnANewStream(t *testing.T) {
	r := newRig(t)
	r.publish("1", r.trusting(trustPinned(pin.OfKey(r.backend.Certificate()))))
	stop := r.run("envoy-1", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.settles(web, "1")
	r.expect("the right pin", http.StatusOK)
	name := r.publish("2", r.trusting(trustPinned(pin.Pin{Kind: pin.SPKI})), refused)
	r.settles(web, "2")
	r.expect("a refused cluster", http.StatusInternalServerError)
	e := ledger(t, r.Server, web, "envoy-1")
	if len(e.Rejections) != 1 || e.Rejections[0].Name != name || e.Rejections[0].Type != "Cluster" ||
		!strings.Contains(e.Rejections[0].Message, "trusted CA") || e.Settled[policy] != "" {
		t.Errorf("rejections %v, settled %v", e.Rejections, e.Settled)
	}
	r.eventually("the end of the holding", func() bool {
		return heldNames(ledger(t, r.Server, web, "envoy-1")) == "[]"
	})
	stop()
	r.Gone(web, "envoy-1")
	r.run("envoy-2", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.settles(web, "2")
	r.expect("a refused cluster, on a new stream", http.StatusInternalServerError)
}

func TestARealEnvoyThatRefusesRoutesServesTheLastGoodOnesAlsoAfterARestart(t *testing.T) {
	r := newRig(t)
	gateway := r.trusting(trustPinned(pin.OfKey(r.backend.Certificate())))
	r.publish("1", gateway)
	stop := r.run("envoy-1", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.settles(web, "1")
	r.publish("2", gateway, func(p *Publication) {
		for _, routes := range p.Resources.Routes {
			hosts := routes.GetVirtualHosts()
			twice := proto.CloneOf(hosts[0])
			twice.Name += "-again"
			routes.VirtualHosts = append(slices.Clone(hosts), twice)
		}
	})
	r.eventually("the rejection", func() bool {
		e := ledger(t, r.Server, web, "envoy-1")
		return len(e.Rejections) == 1 && e.Rejections[0].Type == "RouteConfiguration"
	})
	r.expect("the last good routes", http.StatusOK)
	stop()
	r.Gone(web, "envoy-1")
	r.run("envoy-2", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.eventually("an answer", func() bool { return r.get() == http.StatusOK })
	if e := ledger(t, r.Server, web, "envoy-1"); e.Settled[web] == "2" {
		t.Errorf("settled %v with the routes of before", e.Settled)
	}
}

func TestARealEnvoyRefusesAListenerWhosePortIsTaken(t *testing.T) {
	r := newRig(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r.publish("1", r.trusting(trustPinned(pin.OfKey(r.backend.Certificate()))))
	r.run("envoy-1", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.eventually("the rejection", func() bool {
		envoys := r.Envoys()[web]
		return len(envoys) == 1 && len(envoys[0].Rejections) == 1 && envoys[0].Rejections[0].Type == "Listener" &&
			strings.Contains(envoys[0].Rejections[0].Message, "Address already in use")
	})
	if e := ledger(t, r.Server, web, "envoy-1"); len(e.Settled) != 0 {
		t.Errorf("settled %v", e.Settled)
	}
}

func TestARealEnvoyDropsALapsedClusterWithoutItsControlPlane(t *testing.T) {
	r := newRig(t)
	skip := &model.Trust{
		Policy: policy, Mode: model.InsecureSkipVerification, SNI: "example.com",
		// Time enough for Envoy to start on a busy machine.
		Until: time.Now().Add(10*time.Second - envoy.Grace),
	}
	r.publish("1", r.trusting(skip))
	r.run("envoy-1", r.socket(Peer{Gateway: web, Name: "envoy-1"}))
	r.settles(web, "1")
	r.expect("before the lapse", http.StatusOK)
	r.Stop()
	lapses := skip.Until.Add(envoy.Grace)
	for {
		status := r.get()
		if !time.Now().Before(lapses) {
			break // It may have been answered after the lapse.
		}
		if status != http.StatusOK {
			t.Fatalf("%s before the lapse Envoy answers %d", time.Until(lapses), status)
		}
	}
	r.eventually("Envoy drops the cluster", func() bool { return r.get() == http.StatusInternalServerError })
}

func TestARealEnvoyThatReconnectsIsSentNothingAndServesOn(t *testing.T) {
	r := newRig(t)
	gateway := r.trusting(trustPinned(pin.OfKey(r.backend.Certificate())))
	name := r.publish("1", gateway)
	path := filepath.Join(r.runtime, "xds")
	first := serveAt(t, r.Server, path)
	r.sockets.peers[path] = Peer{Gateway: web, Name: "envoy-1"}
	r.run("envoy-1", path)
	r.settles(web, "1")
	r.Stop()
	<-first
	r.expect("without a control plane", http.StatusOK)

	// The next control plane knows nothing but what is published to it.
	next := &rig{harness: newHarness(t), backend: r.backend, port: r.port, runtime: r.runtime, words: r.words}
	next.sockets.peers[path] = Peer{Gateway: web, Name: "envoy-1"}
	next.publish("1", gateway)
	served := serveAt(t, next.Server, path)
	next.settles(web, "1")
	next.expect("with the next control plane", http.StatusOK)
	if held := heldNames(ledger(t, next.Server, web, "envoy-1")); held != "["+name+"]" {
		t.Errorf("holds %s", held)
	}
	next.Server.mu.Lock()
	g := next.gateways[web]
	next.Server.mu.Unlock()
	g.mu.Lock()
	for st := range g.streams {
		// The first request for all clusters, and for all listeners, is answered
		// although there is nothing to say.
		if st.nonce > 2 {
			t.Errorf("%d responses were sent", st.nonce)
		}
	}
	g.mu.Unlock()
	next.Stop()
	<-served
}

// serveAt serves on a socket at the path, and tells when that ended.
func serveAt(t *testing.T, s *Server, path string) <-chan error {
	t.Helper()
	_ = os.Remove(path)
	listening, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listening) }()
	return ended
}
