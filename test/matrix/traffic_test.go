package matrix_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/envoyvalidate"
)

// clients is how many cells are asked at a time.
const clients = 8

// serve starts a backend that presents the certificate, on loopback.
func serve(t *testing.T, c *certificate) model.Endpoint {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	// Refused handshakes are what this is about.
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{c.served.TLS()}, MinVersion: tls.VersionTLS12, MaxVersion: c.version,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	address, err := netip.ParseAddrPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return model.Endpoint{Address: address, Ready: true}
}

// run starts Envoy with what the operator would send it.
func run(
	t *testing.T, gateway model.Gateway, all []*cell, endpoints map[*certificate]model.Endpoint,
) *envoyvalidate.Running {
	t.Helper()
	resources, faults := envoy.Translate(gateway)
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	var assignments []*endpointv3.ClusterLoadAssignment
	for _, c := range all {
		if c.backend != nil {
			assignments = append(assignments,
				envoy.Endpoints(c.backend.Name(), []model.Endpoint{endpoints[c.certificate]}))
		}
	}
	return envoyvalidate.Run(t, resources, assignments...)
}

// ask sends a request to each cell and returns what Envoy made of it, by cell.
func ask(t *testing.T, running *envoyvalidate.Running, port uint16, all []*cell) map[*cell]outcome {
	t.Helper()
	statuses := make([]int, len(all))
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for i := client; i < len(all); i += clients {
				statuses[i] = get(t, transport, port, all[i].hostname())
			}
		})
	}
	group.Wait()
	words := failures(t, running, len(all))
	outcomes := make(map[*cell]outcome, len(all))
	for i, c := range all {
		result, ok := told(statuses[i], words[c.hostname()])
		if !ok {
			t.Errorf("%s: Envoy answers %d and says %q", c, statuses[i], words[c.hostname()])
		}
		outcomes[c] = result
	}
	return outcomes
}

func get(t *testing.T, transport *http.Transport, port uint16, hostname string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Host = hostname
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	return response.StatusCode
}

// failures are Envoy's words about each request, by hostname, once it has
// written about all of them.
func failures(t *testing.T, running *envoyvalidate.Running, requests int) map[string]string {
	t.Helper()
	words := map[string]string{}
	running.Logged(t, func(line map[string]any) bool {
		hostname, isText := line["authority"].(string)
		if !isText {
			return false
		}
		said, isText := line["upstream_transport_failure"].(string)
		if !isText {
			said = ""
		}
		words[hostname] = said
		return len(words) == requests
	})
	return words
}
