package drain

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
	"github.com/backendtls/backendtls/test/port"
)

// member is one Envoy behind an imagined Service.
type member struct {
	admin      string
	plain, tls int32
	process    *os.Process
	ended      chan struct{}
}

// fleet is the members, and the Service in front of them.
type fleet struct {
	t       *testing.T
	members []*member
	// leaving is the member that the Service sends nobody to any more; -1 for none.
	leaving atomic.Int32
	next    atomic.Int32
	// slow is where a backend accepts connections, and answers nothing.
	slow netip.AddrPort
}

func newFleet(t *testing.T, size int) *fleet {
	t.Helper()
	if os.Getenv("ENVOY") == "" {
		t.Fatal("ENVOY is not set: name an Envoy binary; `make test` fetches one and sets it")
	}
	f := &fleet{t: t}
	f.leaving.Store(-1)
	identity, err := pki.SelfSigned(pki.Request{
		Name: "web", DNS: []string{"example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	backend, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	f.slow = netip.MustParseAddrPort(backend.Addr().String())
	for range size {
		f.members = append(f.members, f.start(identity))
	}
	return f
}

func (f *fleet) start(identity *pki.Identity) *member {
	f.t.Helper()
	key, err := identity.KeyPEM()
	if err != nil {
		f.t.Fatal(err)
	}
	redirect := model.Rule{
		Route: gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "web"), Redirect: &model.Redirect{StatusCode: http.StatusFound},
	}
	slow := model.Backend{Service: gwapi.KeyOf(gwapi.KindService, "default", "slow"), Port: 80, Protocol: model.HTTP1}
	wait := model.Rule{
		Route: redirect.Route, Match: model.Match{Path: model.ValueMatch{Kind: model.Exact, Value: "/slow"}},
		Split: []model.WeightedBackend{{Backend: slow.Name(), Weight: 1}},
	}
	server := model.Server{Name: "web", Hosts: []model.VirtualHost{{Rules: []model.Rule{wait, redirect}}}}
	secured := server
	secured.Certificates = []model.KeyPair{{
		Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "web"), Chain: identity.ChainPEM(), Key: key,
	}}
	m := &member{
		admin: filepath.Join(f.t.TempDir(), "admin.sock"), plain: int32(port.Free(f.t)), tls: int32(port.Free(f.t)),
		ended: make(chan struct{}),
	}
	resources, faults := envoy.Translate(model.Gateway{
		Key: gwapi.KeyOf(gwapi.KindGateway, "default", "web"), Address: "127.0.0.1",
		Backends: []model.Backend{slow},
		Listeners: []model.Listener{
			{Port: m.plain, Protocol: model.HTTP, Servers: []model.Server{server}},
			{Port: m.tls, Protocol: model.HTTPS, Servers: []model.Server{secured}},
		},
	})
	if len(faults) > 0 {
		f.t.Fatal(faults)
	}
	bootstrap, err := envoytest.Static(resources, m.admin,
		envoy.Endpoints(slow.Name(), []model.Endpoint{{Address: f.slow, Ready: true}}))
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := envoy.JSON(bootstrap)
	if err != nil {
		f.t.Fatal(err)
	}
	file := filepath.Join(f.t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	var words bytes.Buffer
	command := exec.Command(os.Getenv("ENVOY"), "--config-path", file, "--disable-hot-restart",
		"--concurrency", "2", "--log-level", "warning", "--drain-strategy", "immediate")
	command.Stderr = &words
	if err := command.Start(); err != nil {
		f.t.Fatal(err)
	}
	m.process = command.Process
	go func() {
		defer close(m.ended)
		_ = command.Wait()
	}()
	f.t.Cleanup(func() {
		_ = m.process.Kill()
		<-m.ended
		if f.t.Failed() {
			f.t.Logf("envoy wrote: %.2000s", words.String())
		}
	})
	f.await(m)
	return m
}

func (f *fleet) await(m *member) {
	f.t.Helper()
	admin := newAdmin(m.admin)
	defer admin.close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		if _, err := admin.request(f.t.Context(), http.MethodGet, "/ready"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatal("Envoy does not become ready")
		}
	}
}

// dial is what kube-proxy does: one of the members that is not leaving.
func (f *fleet) dial(port func(*member) int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		for {
			i := f.next.Add(1) % int32(len(f.members))
			if i == f.leaving.Load() {
				continue
			}
			var dialer net.Dialer
			return dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port(f.members[i])))
		}
	}
}

// client is a kind of client that keeps its connections.
type client struct {
	url       string
	transport *http.Transport
	proto     string
}

func (f *fleet) clients() []*client {
	trust := &tls.Config{InsecureSkipVerify: true, ServerName: "example.com"} // it is about connections
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return []*client{
		{url: "http://example.com/", proto: "HTTP/1.1", transport: &http.Transport{
			DialContext: f.dial(func(m *member) int32 { return m.plain }),
		}},
		{url: "https://example.com/", proto: "HTTP/2.0", transport: &http.Transport{
			DialContext:     f.dial(func(m *member) int32 { return m.tls }),
			TLSClientConfig: trust, Protocols: protocols,
		}},
	}
}

// ask asks once; a POST, which no client repeats by itself.
func (c *client) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusFound || response.Proto != c.proto {
		return fmt.Errorf("%s by %s", response.Status, response.Proto)
	}
	return nil
}

func quietly() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestNoRequestFailsWhileTheEnvoysAreReplacedOneByOne(t *testing.T) {
	f := newFleet(t, 2)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var asking sync.WaitGroup
	var asked atomic.Int32
	for _, c := range f.clients() {
		for range 4 {
			asking.Go(func() {
				defer c.transport.CloseIdleConnections()
				for ctx.Err() == nil {
					if err := c.ask(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("%s: %v", c.proto, err)
						return
					}
					asked.Add(1)
					_ = pause(ctx, 2*time.Millisecond)
				}
			})
		}
	}
	for deadline := time.Now().Add(time.Minute); asked.Load() < 100; _ = pause(ctx, time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is answered")
		}
	}
	// The removal from the endpoints comes round after the drain has begun.
	drained := make(chan error, 1)
	go func() {
		drained <- Envoy(ctx, Config{
			Admin: f.members[0].admin, Delay: 3 * time.Second, Patience: time.Minute, Log: quietly(),
		})
	}()
	_ = pause(ctx, 300*time.Millisecond)
	f.leaving.Store(0)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := f.members[0].process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-f.members[0].ended
	_ = pause(ctx, 200*time.Millisecond)
	stop()
	asking.Wait()
	t.Logf("%d requests", asked.Load())
}

func TestNobodyIsToldToLeaveBeforeTheDelayIsOver(t *testing.T) {
	f := newFleet(t, 1)
	c := f.clients()[0]
	defer c.transport.CloseIdleConnections()
	if err := c.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() {
		drained <- Envoy(ctx, Config{Admin: f.members[0].admin, Delay: time.Hour, Patience: time.Hour, Log: quietly()})
	}()
	for range 10 {
		if err := c.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if dialled := f.next.Load(); dialled != 1 {
		t.Errorf("%d connections were opened", dialled)
	}
	stop()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAnEnvoyWithoutClientsIsDrainedAtOnce(t *testing.T) {
	f := newFleet(t, 1)
	began := time.Now()
	if err := Envoy(t.Context(), Config{Admin: f.members[0].admin, Patience: time.Minute, Log: quietly()}); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAnIdleConnectionIsWaitedForAWhileAndARequestLonger(t *testing.T) {
	f := newFleet(t, 1)
	c := f.clients()[0]
	defer c.transport.CloseIdleConnections()
	if err := c.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Admin: f.members[0].admin, Patience: time.Minute, Settling: 300 * time.Millisecond, Log: quietly(),
	}
	began := time.Now()
	if err := Envoy(t.Context(), config); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < config.Settling || took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	// A request that does not end.
	connection, err := f.dial(func(m *member) int32 { return m.plain })(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET /slow HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	config.Patience = 700 * time.Millisecond
	admin := newAdmin(config.Admin)
	defer admin.close()
	for deadline := time.Now().Add(time.Minute); ; _ = pause(t.Context(), 20*time.Millisecond) {
		counts, err := admin.open(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no request is open: %v", err)
		}
		if counts.requests > 0 {
			break
		}
	}
	if err := Envoy(t.Context(), config); err == nil || !strings.Contains(err.Error(), "1 requests on") {
		t.Errorf("%v", err)
	}
}

func TestAnAdminSocketThatNobodyServesIsAnError(t *testing.T) {
	err := Envoy(t.Context(), Config{Admin: filepath.Join(t.TempDir(), "admin.sock"), Log: quietly()})
	if err == nil || !strings.Contains(err.Error(), "admin.sock") {
		t.Error(err)
	}
}

func TestTheInstalledProgramRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := Install(path); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), path, "-test.list", "^TestTheInstalled").Output(); err != nil ||
		!strings.Contains(string(output), t.Name()) {
		t.Errorf("%v: %s", err, output)
	}
	if err := Install(filepath.Join(t.TempDir(), "no", "directory")); err == nil {
		t.Error("installed into nowhere")
	}
}
