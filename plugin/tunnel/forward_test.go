package tunnel_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/tlsprobe"
	"github.com/backendtls/backendtls/plugin/kubelettest"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/test/pki"
)

// errRefused is what a kubelet says of a port that nothing listens on.
var errRefused = errors.New("failed to connect to localhost:9 inside namespace \"x\", " +
	"IPv4: dial tcp4 127.0.0.1:9: connect: connection refused")

// pods are a cluster whose pods are functions.
type pods struct {
	*kubelettest.Kubelet
	through *tunnel.Through
	ports   map[uint16]func(net.Conn)
}

// cluster starts one. Guard, if not nil, sees each request first, and may answer
// it.
func cluster(t *testing.T, guard func(http.ResponseWriter, *http.Request) bool) *pods {
	t.Helper()
	p := &pods{Kubelet: &kubelettest.Kubelet{}, ports: map[uint16]func(net.Conn){}}
	p.Kubelet.Dial = func(_ context.Context, _ types.NamespacedName, port uint16) (net.Conn, error) {
		handle := p.ports[port]
		if handle == nil {
			return nil, errRefused
		}
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			handle(far)
		}()
		return near, nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if guard == nil || !guard(w, r) {
			p.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.Wait()
	})
	forwarder, err := tunnel.NewForwarder(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	p.through = &tunnel.Through{
		Forwarder: forwarder, Prober: tlsprobe.Prober{Now: time.Now, Timeout: 20 * time.Second},
	}
	return p
}

// endpoint is a port of a pod.
func endpoint(pod string, port uint16) model.Endpoint {
	return model.Endpoint{
		Address: netip.AddrPortFrom(netip.MustParseAddr("10.1.2.3"), port), Ready: true,
		Pod: gwapi.KeyOf("Pod", "shop", pod),
	}
}

// serveTLS presents a certificate of the name.
func serveTLS(t *testing.T, name string) func(net.Conn) {
	t.Helper()
	identity, err := pki.SelfSigned(pki.Request{
		Name: name, DNS: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{identity.TLS()}, MinVersion: tls.VersionTLS13}
	return func(conn net.Conn) {
		server := tls.Server(conn, config)
		_ = server.HandshakeContext(context.Background())
		_, _ = io.Copy(io.Discard, server)
	}
}

func TestAPortOfAPodIsAskedThroughTheAPIServer(t *testing.T) {
	for name, without := range map[string]bool{"over a websocket": false, "over SPDY, where there are none": true} {
		t.Run(name, func(t *testing.T) {
			p := cluster(t, nil)
			p.NoWebsockets = without
			p.ports[8443] = serveTLS(t, "api.example.com")
			seen := p.through.Probe(t.Context(), endpoint("api-0", 8443), "api.example.com")
			if seen.Fault != "" || len(seen.Chain) != 1 || seen.TLSVersion != tls.VersionTLS13 {
				t.Errorf("observed %+v", seen)
			}
			waitFor(t, func() bool { return p.Open() == 0 })
		})
	}
}

func TestWhatAPodIsInsteadOfATLSServerIsSaid(t *testing.T) {
	p := cluster(t, nil)
	p.through.Prober.Timeout = 3 * time.Second
	p.ports[25] = func(conn net.Conn) {
		fmt.Fprint(conn, "220 mail.example.com ESMTP\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}
	p.ports[80] = func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	}
	p.ports[99] = func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	p.ports[100] = func(net.Conn) {}
	for port, want := range map[uint16]struct {
		fault model.Fault
		text  string
	}{
		9:   {model.FaultUnreachable, "nothing listens on port 9 of the pod's loopback (connection refused)"},
		25:  {model.FaultStartTLS, "220 mail.example.com"},
		80:  {model.FaultPlaintext, "HTTP/1.1 400"},
		99:  {model.FaultTimeout, "no answer to the TLS hello"},
		100: {model.FaultUnreachable, "closed the connection"},
	} {
		seen := p.through.Probe(t.Context(), endpoint("api-0", port), "api.example.com")
		if seen.Fault != want.fault || !strings.Contains(seen.Err, want.text) {
			t.Errorf("port %d: %s %q, want %s %q", port, seen.Fault, seen.Err, want.fault, want.text)
		}
	}
	waitFor(t, func() bool { return p.Open() == 0 })
}

// TestAClosedPortSpoilsNothing: a connection on which a kubelet said that a port
// is closed opens further streams only now and then, so it must not be used.
func TestAClosedPortSpoilsNothing(t *testing.T) {
	for name, without := range map[string]bool{"over a websocket": false, "over SPDY": true} {
		t.Run(name, func(t *testing.T) {
			p := cluster(t, nil)
			p.NoWebsockets = without
			p.ports[8443] = serveTLS(t, "api.example.com")
			jobs := []tunnel.Job{{Endpoint: endpoint("api-0", 9), SNI: "first"}}
			for i := range 50 {
				jobs = append(jobs, tunnel.Job{Endpoint: endpoint("api-0", 8443), SNI: fmt.Sprintf("n%d.example.com", i)})
				if i%10 == 0 {
					jobs = append(jobs, tunnel.Job{Endpoint: endpoint("api-0", 9), SNI: fmt.Sprint(i)})
				}
			}
			begin := time.Now()
			seen, err := tunnel.Fetch(t.Context(), p.through, jobs, nil)
			if err != nil {
				t.Fatal(err)
			}
			for question, observation := range seen {
				open := question.Address.Port() == 8443
				if open != (len(observation.Chain) == 1) || open != (observation.Fault == "") {
					t.Errorf("%v: %s %s", question, observation.Fault, observation.Err)
				}
			}
			if took := time.Since(begin); took > 2*time.Minute {
				t.Errorf("it took %s", took)
			}
			waitFor(t, func() bool { return p.Open() == 0 })
		})
	}
}

func TestProbesOfOnePodShareAConnection(t *testing.T) {
	p := cluster(t, nil)
	hold := make(chan struct{})
	serve := serveTLS(t, "api.example.com")
	p.ports[8443] = serve
	p.ports[9443] = func(conn net.Conn) {
		<-hold
		serve(conn)
	}
	slow := make(chan model.Observation)
	go func() { slow <- p.through.Probe(t.Context(), endpoint("api-0", 9443), "slow") }()
	pod := types.NamespacedName{Namespace: "shop", Name: "api-0"}
	waitFor(t, func() bool { return p.Connections(pod) == 1 })
	for i := range 5 {
		if seen := p.through.Probe(t.Context(), endpoint("api-0", 8443), fmt.Sprint("n", i)); seen.Fault != "" {
			t.Errorf("%s %s", seen.Fault, seen.Err)
		}
	}
	if n := p.Connections(pod); n != 1 {
		t.Errorf("%d connections", n)
	}
	// Another port is closed: whoever is on the connection is asked again, alone.
	p.through.Probe(t.Context(), endpoint("api-0", 9), "closed")
	close(hold)
	if seen := <-slow; seen.Fault != "" {
		t.Errorf("the slow one: %s %s", seen.Fault, seen.Err)
	}
}

func TestAtMostEightPodsAreInUseAtOnce(t *testing.T) {
	p := cluster(t, nil)
	p.ports[8443] = serveTLS(t, "api.example.com")
	var jobs []tunnel.Job
	for i := range 40 {
		one := endpoint(fmt.Sprintf("api-%d", i), 8443)
		one.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8443)
		jobs = append(jobs, tunnel.Job{Endpoint: one, SNI: "api.example.com"})
	}
	seen, err := tunnel.Fetch(t.Context(), p.through, jobs, nil)
	if err != nil {
		t.Fatal(err)
	}
	for question, observation := range seen {
		if observation.Fault != "" {
			t.Errorf("%v: %s %s", question, observation.Fault, observation.Err)
		}
	}
	// A connection that is closed is open at the other end for a moment longer.
	if most := p.Most(); most > tunnel.Limit*2 {
		t.Errorf("%d connections at once", most)
	}
}

func TestWhatMayNotBeForwardedIsNoStatementAboutTheEndpoint(t *testing.T) {
	p := cluster(t, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,`+
			`"message":"pods \"api-0\" is forbidden: User \"jane\" cannot create resource \"pods/portforward\""}`)
		return true
	})
	for range 2 {
		seen := p.through.Probe(t.Context(), endpoint("api-0", 8443), "")
		if seen.Fault != model.FaultForbidden || !strings.Contains(seen.Err, "the verbs get and create on pods/portforward") {
			t.Errorf("%s %q", seen.Fault, seen.Err)
		}
	}
	if list := p.through.Forbidden(); len(list) != 1 || !strings.Contains(list[0].Error(), "namespace shop") {
		t.Errorf("forbidden: %v", list)
	}
	external := endpoint("", 8443)
	external.Pod = gwapi.Key{}
	if seen := p.through.Probe(t.Context(), external, ""); seen.Fault != model.FaultUnsupported ||
		!strings.Contains(seen.Err, "--via direct") {
		t.Errorf("without a pod: %s %q", seen.Fault, seen.Err)
	}
}

func TestAPodThatIsGoneOrCannotBeReachedIsUnreachable(t *testing.T) {
	for answer, want := range map[string]string{
		`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,` +
			`"message":"pods \"api-0\" not found"}`: "pod shop/api-0 is gone",
		`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,` +
			`"message":"unable to forward port because pod is not running. Current status=Pending"}`: "pod is not running",
	} {
		p := cluster(t, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			code := http.StatusBadRequest
			if strings.Contains(answer, "404") {
				code = http.StatusNotFound
			}
			w.WriteHeader(code)
			fmt.Fprint(w, answer)
			return true
		})
		if seen := p.through.Probe(t.Context(), endpoint("api-0", 8443), ""); seen.Fault != model.FaultUnreachable ||
			!strings.Contains(seen.Err, want) {
			t.Errorf("%s %q, want %q", seen.Fault, seen.Err, want)
		}
	}
}

// TestAnAPIServerThatHangs: the dialers of client-go know no context.
func TestAnAPIServerThatHangs(t *testing.T) {
	hang := make(chan struct{})
	p := cluster(t, func(http.ResponseWriter, *http.Request) bool {
		<-hang
		return false
	})
	p.ports[8443] = serveTLS(t, "api.example.com")
	p.through.Prober.Timeout = 100 * time.Millisecond
	seen := p.through.Probe(t.Context(), endpoint("api-0", 8443), "")
	if seen.Fault != model.FaultTimeout {
		t.Errorf("%s %q", seen.Fault, seen.Err)
	}
	close(hang)
	// What comes too late is closed.
	waitFor(t, func() bool { return p.Connections(endpoint("api-0", 0).Pod.NamespacedName()) == 1 && p.Open() == 0 })
}

// waitFor awaits a condition.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("it did not happen within a minute")
		}
	}
}
