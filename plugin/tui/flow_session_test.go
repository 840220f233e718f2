package tui

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
)

// site are the manifests of a Gateway, a route and a Service with two endpoints.
const site = "../session/testdata/site"

// sitting is a real Session whose endpoints are a server of the test.
func sitting(t *testing.T, config session.Config) *session.Session {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	config.Program, config.Via, config.ProbeTimeout = "kubectl backendtls", session.ViaDirect, time.Minute
	config.Now = func() time.Time { return noon }
	config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	return session.New(config)
}

func TestTheFlowsOverRealFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(site)); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(dir, "api.backendtls.yaml")
	holds := func(text string, wanted bool) {
		t.Helper()
		content, err := os.ReadFile(policy)
		if err != nil || strings.Contains(string(content), text) != wanted {
			t.Errorf("%q in %s is to be %t: %v\n%s", text, policy, wanted, err, content)
		}
	}
	d := drive(t, sitting(t, session.Config{Filename: dir}), 110, 40)
	d.until("api:443")

	d.press("p")
	d.until("1 key served", "not pinned yet")
	d.press("enter")
	d.until("NEW btlspolicy/api", "y writes it")
	d.press("y")
	d.until("VERDICTS NOW", "httproute/api: passes")
	holds("backendtls.dev/pins: spki-sha256:", true)
	d.press("enter")
	d.until("api:443", "Standard")

	d.press("s")
	d.until("[everything]", "24h")
	d.press("enter", "right", "enter", "incident 4711", "enter")
	d.until("Type api to write it")
	if err := appendTo(policy, "# somebody else was here\n"); err != nil {
		t.Fatal(err)
	}
	d.press("api", "enter")
	d.until("CHANGED MEANWHILE")
	holds("mode", false)
	d.press("r")
	d.until("[1h]", "incident 4711")
	d.press("enter", "enter", "enter")
	d.until("Type api to write it")
	d.press("api", "enter")
	d.until("VERDICTS NOW")
	holds(`backendtls.dev/mode-reason: "incident 4711"`, true)
	holds("# somebody else was here", true)
	d.press("enter")
	d.until("api:443", "announced")

	d.press("s")
	d.until("A mode that weakens the verification of svc/api:443", "4711")
	d.press("enter")
	d.until("y writes it")
	d.press("y")
	d.until("VERDICTS NOW")
	holds("mode", false)
	d.press("enter")
	d.until("api:443", "Standard")

	d.press("u")
	d.until("trusts nothing but its pins")
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// apiServer is an API server in memory as a session.Cluster.
type apiServer struct {
	*apiservertest.Server

	transport *http.Transport
}

// newAPIServer serves the site.
func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, name := range []string{"api.yaml", "gateway.yaml"} {
		content, err := os.ReadFile(filepath.Join(site, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range manifest.Documents(content) {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(content[document.Start:document.End], &object.Object); err != nil {
				t.Fatal(err)
			}
			objects = append(objects, object)
		}
	}
	s := &apiServer{Server: apiservertest.New(t, objects...), transport: &http.Transport{}}
	t.Cleanup(s.transport.CloseIdleConnections)
	return s
}

func (s *apiServer) RESTConfig() (*rest.Config, error) {
	return &rest.Config{Host: s.URL, Transport: s.transport, QPS: -1}, nil
}

func (s *apiServer) Client() (client.Client, error) { return s.Watcher() }

func (s *apiServer) Watcher() (client.WithWatch, error) {
	scheme, err := collect.Scheme()
	if err != nil {
		return nil, err
	}
	config, err := s.RESTConfig()
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: collect.Mapper()})
}

func (*apiServer) Name() string         { return "context dev" }
func (*apiServer) Arguments() string    { return "" }
func (*apiServer) Ahead() time.Duration { return 0 }

// programmed writes as the operator does how far the Envoys have come with the
// policy as it is.
func (s *apiServer) programmed(reason, message string) {
	generation := s.Get("backendtlspolicies", "shop", "api").GetGeneration()
	var conditions []any
	for _, condition := range [][4]string{
		{"Accepted", "True", "Accepted", "The policy is accepted."},
		{"ResolvedRefs", "True", "ResolvedRefs", "Every reference is resolved."},
		{"Programmed", map[bool]string{true: "True", false: "False"}[reason == "Programmed"], reason, message},
		{"SecurityDegraded", "False", "Strict", "Every check of the policy is made."},
		{"BackendsVerified", "Unknown", "NotProbed", "No endpoint was asked."},
	} {
		conditions = append(conditions, map[string]any{
			"type": condition[0], "status": condition[1], "reason": condition[2], "message": condition[3],
			"observedGeneration": generation, "lastTransitionTime": noon.Format(time.RFC3339),
		})
	}
	s.SetStatus("backendtlspolicies", "shop", "api", map[string]any{"ancestors": []any{map[string]any{
		"controllerName": "backendtls.dev/gateway-controller", "conditions": conditions,
		"ancestorRef": map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"},
	}}})
}

func TestThePinFlowOverAnAPIServer(t *testing.T) {
	server := newAPIServer(t)
	d := drive(t, sitting(t, session.Config{Cluster: server}), 80, 24)
	d.until("> api:443")
	d.press("p")
	d.until("1 key served")
	d.press("enter")
	d.until("NEW btlspolicy/api", "y writes it")
	d.press("y")
	d.until("Applied: btlspolicy/api is written.", "has not spoken of generation 1 yet")
	server.programmed("Pending", "1 of 2 Envoys have acknowledged")
	d.until("1 of 2 Envoys have acknowledged")
	server.programmed("Programmed", "2 of 2 Envoys have acknowledged")
	d.until("VERDICTS NOW", "2 of 2 Envoys have acknowledged", "httproute/api: passes")

	pins := server.Get("backendtlspolicies", "shop", "api").Object["spec"]
	if text := fmt.Sprint(pins); !strings.Contains(text, "backendtls.dev/pins:spki-sha256:") {
		t.Errorf("the policy is %s", text)
	}
	d.press("enter")
	d.until("> api:443", "passes")
}
