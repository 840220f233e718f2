package session_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// The endpoints of testdata/site.
const (
	firstEndpoint  = "10.0.1.1:8443"
	secondEndpoint = "10.0.1.2:8443"
)

var api = cliv1alpha1.PortReference{Namespace: "shop", Name: "api", Port: 443}

// asking is a Session about files whose endpoints are servers of the test.
func asking(t *testing.T, dir string, servers map[string]string) *session.Session {
	t.Helper()
	return session.New(session.Config{
		Filename: dir, Program: "kubectl backendtls", Via: session.ViaDirect, ProbeTimeout: time.Minute,
		Now: func() time.Time { return noon },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			server, found := servers[address]
			if !found {
				return nil, errors.New("connection refused")
			}
			return new(net.Dialer).DialContext(ctx, network, server)
		},
	})
}

// serving is a TLS server.
func serving(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// silent takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestFetchSaysWhatEveryEndpointServesAndHowFarItHasCome(t *testing.T) {
	at := serving(t)
	var told []int
	fetched, err := asking(t, site(t), map[string]string{firstEndpoint: at}).Fetch(t.Context(), api,
		func(done, of int, _ string) { told = append(told, done, of) })
	if err != nil {
		t.Fatal(err)
	}
	if len(fetched.Endpoints) != 2 || fetched.Partial || fetched.Service != api || !fetched.At.Equal(noon) {
		t.Fatalf("got %+v", fetched)
	}
	if first := fetched.Endpoints[0]; len(first.Chain) == 0 || first.Pod != "api-0" || first.SNI != "api.shop.svc" {
		t.Errorf("the one that answers is %+v", first)
	}
	if second := fetched.Endpoints[1]; second.Fault != "Unreachable" {
		t.Errorf("the one that refuses is %+v", second)
	}
	if len(told) != 4 || told[0] != 1 || told[1] != 2 || told[2] != 2 || told[3] != 2 {
		t.Errorf("progress was %v", told)
	}
}

func TestAFetchThatIsCancelledKeepsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	servers := map[string]string{firstEndpoint: serving(t), secondEndpoint: silent(t)}
	fetched, err := asking(t, site(t), servers).Fetch(ctx, api, func(int, int, string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if !fetched.Partial || len(fetched.Endpoints) != 1 || fetched.Endpoints[0].Address != firstEndpoint {
		t.Errorf("got %+v", fetched)
	}
}

func TestVerifyJudgesByThePolicy(t *testing.T) {
	dir := site(t)
	write(t, dir, "policy.yaml", fixture(t, "policy.yaml"))
	at := serving(t)
	probed, err := asking(t, dir, map[string]string{firstEndpoint: at, secondEndpoint: at}).Verify(t.Context(), api, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(probed.Paths) != 1 || probed.Paths[0].Verdict.Result != "Fails" || probed.Verification.Verdict.Result != "Fails" {
		t.Errorf("got %+v", probed)
	}
	if len(probed.Fetched.Endpoints) != 2 || probed.Fetched.Endpoints[0].SNI != "api.example.com" {
		t.Errorf("fetched %+v", probed.Fetched)
	}
}

func TestAPortThatIsGoneIsSaid(t *testing.T) {
	gone := api
	gone.Name = "gone"
	_, err := sitting(site(t)).Fetch(t.Context(), gone, nil)
	if err == nil || err.Error() != "svc/gone:443 is not in namespace shop any more" {
		t.Errorf("the error is %v", err)
	}
}
