package envoyvalidate_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/port"
)

func post(r *http.Request) {
	r.Method = http.MethodPost
}

func TestNoRequestFailsBecauseAnEndpointIsGone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(server.Close)
	s := newSite(t)
	to := s.backend("api", server, nil)
	// Nobody listens there any more, and Envoy has not heard of it.
	gone := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port.Free(t))
	s.assignments[0] = envoy.Endpoints(to.Backend, []model.Endpoint{
		{Address: netip.MustParseAddrPort(server.Listener.Addr().String()), Ready: true},
		{Address: gone, Ready: true},
	})
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: []model.VirtualHost{host("", rule(prefix("/"), to))}}}
	s.start()
	for range 50 {
		if got := s.get("example.com", "/", post); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if failed := s.running.Stat(t, "cluster.default/api/443.upstream_cx_connect_fail"); failed == 0 {
		t.Error("the endpoint that is gone was never tried")
	}
}

func TestARequestThatABackendHasSeenIsNotRepeated(t *testing.T) {
	var seen atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		seen.Add(1)
		panic(http.ErrAbortHandler) // the connection is closed without an answer
	}))
	t.Cleanup(server.Close)
	s := newSite(t)
	to := s.backend("api", server, nil)
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: []model.VirtualHost{host("", rule(prefix("/"), to))}}}
	s.start()
	if got := s.get("example.com", "/", post); got.status != http.StatusServiceUnavailable || seen.Load() != 1 {
		t.Errorf("%d %s, and the backend has seen it %d times", got.status, got.body, seen.Load())
	}
}

func TestABackendThatIsNotTrustedAnswers503AfterEveryAttempt(t *testing.T) {
	server := tlsBackend(t)
	s := newSite(t)
	to := s.backend("api", server, &model.Trust{
		Mode: model.Standard, SNI: "example.com", Leaves: []pin.Pin{{Kind: pin.SPKI}},
	})
	s.gateway.Listeners[0].Servers = []model.Server{{Name: "http", Hosts: []model.VirtualHost{host("", rule(prefix("/"), to))}}}
	s.start()
	got := s.get("example.com", "/")
	if got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.running.Logged(t, func(line map[string]any) bool {
		why, _ := line["upstream_transport_failure"].(string)
		return line["response_code"] == 503.0 && strings.Contains(why, "CERTIFICATE_VERIFY_FAILED")
	})
	if refused := s.running.Stat(t, "cluster.default/api/443.ssl.fail_verify_cert_hash"); refused != 3 {
		t.Errorf("the certificate was refused %d times", refused)
	}
}

func TestTheReadinessPortAnswersThatEnvoyServesAndNothingElse(t *testing.T) {
	s := newSite(t)
	s.gateway.ReadinessPort = int32(port.Free(t))
	s.start()
	for path, want := range map[string]int{
		envoy.ReadinessPath: http.StatusOK, "/": http.StatusNotFound,
		envoy.ReadinessPath + "/": http.StatusNotFound, "/stats": http.StatusNotFound,
	} {
		url := fmt.Sprintf("http://127.0.0.1:%d%s", s.gateway.ReadinessPort, path)
		got, err := s.ask(&http.Transport{DisableKeepAlives: true}, url, "10.0.0.1")
		if err != nil || got.status != want {
			t.Errorf("%s: %d %v", path, got.status, err)
		}
	}
}
