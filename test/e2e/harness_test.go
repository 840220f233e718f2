package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/operator"
	"github.com/backendtls/backendtls/operator/apitest"
)

// patience is how long anything may take that has no deadline of its own.
const patience = time.Minute

// world is a directory of manifests and the operator that runs on it.
type world struct {
	t       *testing.T
	dir     string
	runtime string
	gateway netip.AddrPort
	log     *record
	access  *record
	stop    context.CancelFunc
	ended   chan error
	// api is where the manifests go instead of dir, nil for dir.
	api *apitest.Server
}

// record keeps what was written, for failures and for the access log.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// envoyPath is the real Envoy.
func envoyPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ENVOY")
	if path == "" {
		t.Fatal("ENVOY is not set: these tests need a real Envoy; `make test` and `make e2e` get one")
	}
	return path
}

// newWorld makes an empty directory and an address for the Gateway.
func newWorld(t *testing.T) *world {
	t.Helper()
	// Not t.TempDir: its path has the test's name, and a socket's path has at
	// most 107 bytes.
	runtime, err := os.MkdirTemp("", "e2e") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	return &world{
		t: t, dir: t.TempDir(), runtime: runtime, gateway: freeAddress(t),
		log: &record{}, access: &record{},
	}
}

// start runs the operator until the test ends.
func (w *world) start() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	w.stop, w.ended = stop, make(chan error, 1)
	standalone := operator.Standalone{
		Dir: w.dir, Envoy: envoyPath(w.t), Runtime: w.runtime, AccessLog: w.access,
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	go func() { w.ended <- standalone.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-w.ended; err != nil {
			w.t.Errorf("the operator ended with %v", err)
		}
		if w.t.Failed() {
			w.t.Logf("operator's log:\n%s", tail(w.log.String(), 40))
			w.t.Logf("access log:\n%s", tail(w.access.String(), 5))
		}
	})
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), 400)]
	}
	return strings.Join(lines, "\n")
}

// write puts a manifest in place, by rename.
func (w *world) write(name, content string) {
	w.t.Helper()
	if w.api != nil {
		w.apply(content)
		return
	}
	temporary := filepath.Join(w.dir, "."+name)
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

// base is the class, its parameters and the Gateway with one HTTP listener.
func (w *world) base(parameters string) {
	w.t.Helper()
	w.write("base.yaml", fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec:
  controllerName: backendtls.dev/gateway-controller
  parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: bounds, namespace: default}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: backendtls
  addresses: [{type: IPAddress, value: %s}]
  listeners:
  - {name: http, protocol: HTTP, port: %d}
`, w.gateway.Addr(), w.gateway.Port()))
	w.write("parameters.yaml", `
apiVersion: backendtls.dev/v1alpha1
kind: GatewayParameters
metadata: {name: bounds}
spec: `+parameters+"\n")
}

// allowAll is a GatewayParameters spec that allows every mode for a day.
const allowAll = `{backendTLS: {allowedModes: [InsecureAllowExpired, InsecureSkipOnlySANVerification,
  InsecureSkipVerification], maxDuration: 24h, requireReason: false}}`

// status is the status file of an object; ok is false while there is none.
func readStatus[T any](w *world, kind, name string) (status T, generation int64, ok bool) {
	if w.api != nil {
		return storedStatus[T](w, kind, name)
	}
	content, err := os.ReadFile(filepath.Join(w.dir, ".backendtls", "status", kind+".default."+name+".yaml"))
	if err != nil {
		return status, 0, false
	}
	file := struct {
		Generation int64 `json:"generation"`
		Status     *T    `json:"status"`
	}{Status: &status}
	if err := yaml.Unmarshal(content, &file); err != nil {
		w.t.Fatalf("status of %s %s: %v\n%s", kind, name, err, content)
	}
	return status, file.Generation, true
}

// policyCondition is a condition that our Gateway's entry of a policy has.
func (w *world) policyCondition(policy, kind string) metav1.Condition {
	status, _, _ := readStatus[gatewayv1.PolicyStatus](w, "BackendTLSPolicy", policy)
	for _, ancestor := range status.Ancestors {
		for _, condition := range ancestor.Conditions {
			if condition.Type == kind {
				return condition
			}
		}
	}
	return metav1.Condition{}
}

// routeCondition is a condition of a route's first parent.
func (w *world) routeCondition(route, kind string) metav1.Condition {
	status, _, _ := readStatus[gatewayv1.HTTPRouteStatus](w, "HTTPRoute", route)
	for _, parent := range status.Parents {
		for _, condition := range parent.Conditions {
			if condition.Type == kind {
				return condition
			}
		}
	}
	return metav1.Condition{}
}

// programmed says whether Envoy has acknowledged the policy in the generation
// that the operator has read last.
func (w *world) programmed(policy string) bool {
	_, generation, ok := readStatus[gatewayv1.PolicyStatus](w, "BackendTLSPolicy", policy)
	condition := w.policyCondition(policy, "Programmed")
	return ok && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == generation
}

// get is the status code that a client gets for a host, on a connection of its
// own; 0 if there is no answer.
func (w *world) get(host string) int {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.gateway.String()+"/", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Host = host
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// eventually waits for a condition.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	w.within(patience, what, holds)
}

// within is eventually with a bound that is part of what is promised.
func (w *world) within(bound time.Duration, what string, holds func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			w.t.Fatalf("not within %s: %s", bound, what)
		case <-again.C:
		}
	}
}

// stat is a counter of the Envoy, read through its admin socket.
func (w *world) stat(name string) string {
	w.t.Helper()
	sockets, err := filepath.Glob(filepath.Join(w.runtime, "*", "*", "admin.sock"))
	if err != nil || len(sockets) != 1 {
		w.t.Fatalf("admin sockets: %v, %v", sockets, err)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", sockets[0])
		},
	}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://admin/stats", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, name+": "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// freeAddress is a loopback address and a port that nobody listens on.
func freeAddress(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(randomLoopback().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return netip.MustParseAddrPort(listener.Addr().String())
}

func randomLoopback() netip.Addr {
	var random [4]byte
	_, _ = rand.Read(random[:])
	n := binary.BigEndian.Uint32(random[:])
	return netip.AddrFrom4([4]byte{127, byte(64 + n>>16&0x3f), byte(n >> 8), byte(1 + n%254)})
}
