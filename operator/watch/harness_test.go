package watch_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
	"github.com/backendtls/backendtls/operator/watch"
)

// How long reads are tried: for long, where they are to succeed on a busy
// machine, or shortly, where they are to fail.
const (
	long  = 30 * time.Second
	short = 2 * time.Second
)

// world is a Source that follows a server.
type world struct {
	*testing.T
	server *apitest.Server
	source *watch.Source
	slices *recorder
	log    *buffer
}

// open starts a Source.
func open(t *testing.T, server *apitest.Server, patience time.Duration) *world {
	t.Helper()
	w := &world{T: t, server: server, slices: &recorder{}, log: &buffer{}}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	objects, err := watch.NewCache(server.Config(), log)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := watch.NewReader(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	w.source = watch.New(watch.Config{Cache: objects, Client: reader, Log: log, Endpoints: w.slices})
	w.source.Hasten(patience)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := objects.Start(ctx); err != nil {
			t.Errorf("cache: %v", err)
		}
	})
	running.Go(func() {
		if err := w.source.Run(ctx); err != nil {
			t.Errorf("source: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

// opened starts a Source and waits until it has read everything.
func opened(t *testing.T, server *apitest.Server) *world {
	t.Helper()
	return openedFor(t, server, long)
}

// openedFor does so with another patience.
func openedFor(t *testing.T, server *apitest.Server, patience time.Duration) *world {
	t.Helper()
	w := open(t, server, patience)
	w.awaitChange()
	if w.source.Snapshot() == nil {
		t.Fatal("a change, and no snapshot")
	}
	return w
}

func (w *world) awaitChange() {
	w.Helper()
	select {
	case <-w.source.Changes():
	case <-time.After(time.Minute):
		w.Fatalf("no change; the log says:\n%s", w.log)
	}
}

// noChange gives a change some time to come, and fails if one does.
func (w *world) noChange() {
	w.Helper()
	select {
	case <-w.source.Changes():
		w.Error("a change")
	case <-time.After(100 * time.Millisecond):
	}
}

// until waits until a Snapshot holds what is wanted.
func (w *world) until(what string, holds func(*snapshot.Snapshot) bool) {
	w.Helper()
	eventually(w.T, what, func() bool {
		snap := w.source.Snapshot()
		return snap != nil && holds(snap)
	})
}

// need says what a build named.
func (w *world) need(keys ...gwapi.Key) bool {
	w.source.Snapshot()
	refs := map[gwapi.Key][]gwapi.Key{}
	for _, key := range keys {
		refs[key] = []gwapi.Key{gatewayKey}
	}
	return w.source.Need(refs)
}

// needed names keys as a loop does until everything is read. A read that came
// before the last Snapshot may have signalled after awaitChange: that is a wake-up
// too many, which a loop survives and noChange must not see.
func (w *world) needed(keys ...gwapi.Key) {
	w.Helper()
	for !w.need(keys...) {
		w.awaitChange()
	}
	select {
	case <-w.source.Changes():
	default:
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// recorder is a sink that remembers what it was told last and how often.
type recorder struct {
	mu   sync.Mutex
	last map[types.NamespacedName][]*discoveryv1.EndpointSlice
	told []types.NamespacedName
}

func (r *recorder) SetSlices(service types.NamespacedName, list []*discoveryv1.EndpointSlice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	}
	r.last[service] = slices.Clone(list)
	r.told = append(r.told, service)
}

// names are the slices of a Service.
func (r *recorder) names(service string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{}
	for _, slice := range r.last[types.NamespacedName{Namespace: "web", Name: service}] {
		names = append(names, slice.Name)
	}
	return names
}

// services are those that were told of since the last call.
func (r *recorder) services() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, service := range r.told {
		names = append(names, service.Name)
	}
	r.told = nil
	return names
}

// buffer is a log that is written and read at the same time.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// lines are those that contain a text.
func (b *buffer) lines(text string) []string {
	var found []string
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

var gatewayKey = gwapi.KeyOf(gwapi.KindGateway, "web", "edge")

func gateway(name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		Namespace: "web", Name: name, Spec: gatewayv1.GatewaySpec{GatewayClassName: "backendtls"},
	}
}

func service(name string, port int32) *corev1.Service {
	return &corev1.Service{
		Namespace: "web", Name: name, Annotations: map[string]string{"some": "thing"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: port}}},
	}
}

func serviceKey(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindService, "web", name) }

func slice(name, service, address string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		Namespace: "web", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{address}, NodeName: new("node"),
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "web", Name: "pod", UID: "u"},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(8443))}},
	}
}

func secret(name, value string) *corev1.Secret {
	return &corev1.Secret{
		Namespace: "web", Name: name, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": []byte(value), "tls.key": []byte("key of " + value)},
	}
}

func secretKey(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindSecret, "web", name) }

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{Namespace: "web", Name: name, Data: map[string]string{"ca.crt": value}}
}

func configMapKey(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindConfigMap, "web", name) }

// certificate is what a Snapshot holds of a Secret, "" for nothing.
func certificate(snap *snapshot.Snapshot, name string) string {
	held, found := snap.Secrets.Get(types.NamespacedName{Namespace: "web", Name: name})
	if !found {
		return ""
	}
	return string(held.Data["tls.crt"])
}
