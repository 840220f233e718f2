package files_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/files"
)

// patience is how long a condition may take on a busy machine.
const patience = time.Minute

// logs keeps what was logged, line by line.
type logs struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (l *logs) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(data) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			return 0, err
		}
		l.lines = append(l.lines, fields)
	}
	return len(data), nil
}

// with are the lines of that message.
func (l *logs) with(message string) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for _, line := range l.lines {
		if text, _ := line["msg"].(string); strings.HasPrefix(text, message) {
			found = append(found, line)
		}
	}
	return found
}

// sink records the slices it was told, and every call.
type sink struct {
	mu       sync.Mutex
	calls    []types.NamespacedName
	services map[types.NamespacedName][]*discoveryv1.EndpointSlice
}

func (s *sink) SetSlices(service types.NamespacedName, slices []*discoveryv1.EndpointSlice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.services == nil {
		s.services = map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	}
	s.calls = append(s.calls, service)
	s.services[service] = slices
}

func (s *sink) addresses(service string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []string
	for _, slice := range s.services[types.NamespacedName{Namespace: "default", Name: service}] {
		for _, endpoint := range slice.Endpoints {
			addresses = append(addresses, endpoint.Addresses...)
		}
	}
	return addresses
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// bench is a Source over a directory of its own.
type bench struct {
	*files.Source
	t    *testing.T
	dir  string
	logs *logs
	sink *sink
	stop func()
}

// open opens without running; state "" is the default.
func open(t *testing.T, dir, state string) (*bench, error) {
	t.Helper()
	b := &bench{t: t, dir: dir, logs: &logs{}, sink: &sink{}}
	source, err := files.Open(files.Config{
		Dir: dir, State: state, Log: slog.New(slog.NewJSONHandler(b.logs, nil)), Now: time.Now, Endpoints: b.sink,
	})
	b.Source = source
	return b, err
}

// start runs a Source over dir until the test ends or stop is called.
func start(t *testing.T, dir string, change ...func(*files.Source)) *bench {
	t.Helper()
	b, err := open(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	b.start(change...)
	return b
}

// start runs a Source that was opened. Unless a change says otherwise, it has
// nothing but events to go by.
func (b *bench) start(change ...func(*files.Source)) {
	t := b.t
	files.RelyOnEvents(b.Source)
	for _, change := range change {
		change(b.Source)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	b.stop = func() { cancel(); <-done }
	t.Cleanup(b.stop)
}

// eventually waits for a condition, looking whenever the Source signals and a
// little later.
func (b *bench) eventually(what string, condition func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.t.Fatalf("never: %s; logged %v", what, b.logs.lines)
		}
	}
}

// see waits until the Snapshot fulfils a condition.
func (b *bench) see(what string, condition func(*snapshot.Snapshot) bool) *snapshot.Snapshot {
	b.t.Helper()
	b.eventually(what, func() bool { s := b.Snapshot(); return s != nil && condition(s) })
	return b.Snapshot()
}

// signalled waits for a signal.
func (b *bench) signalled() {
	b.t.Helper()
	select {
	case <-b.Changes():
	case <-time.After(patience):
		b.t.Fatal("no signal")
	}
}

// quiet fails if a signal is waiting.
func (b *bench) quiet() {
	b.t.Helper()
	select {
	case <-b.Changes():
		b.t.Fatal("a signal although nothing changed")
	default:
	}
}

// drain takes a waiting signal away.
func (b *bench) drain() {
	select {
	case <-b.Changes():
	default:
	}
}

// barrier waits until every change made before it has been read: a Service
// that is written last is seen. It takes the signal of that away.
func (b *bench) barrier() {
	b.t.Helper()
	name := strings.ToLower("barrier-" + rand())
	write(b.t, filepath.Join(b.dir, name+".yaml"), service(name))
	b.see("the barrier", func(s *snapshot.Snapshot) bool { return has(s, name) })
	b.signalled()
}

var sequence struct {
	sync.Mutex
	n int
}

func rand() string {
	sequence.Lock()
	defer sequence.Unlock()
	sequence.n++
	return string(rune('a'+sequence.n/26%26)) + string(rune('a'+sequence.n%26))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func has(s *snapshot.Snapshot, service string) bool {
	_, found := s.Services.Get(types.NamespacedName{Namespace: "default", Name: service})
	return found
}

func names(s *snapshot.Snapshot) []string {
	var names []string
	for _, service := range s.Services.Sorted() {
		if !strings.HasPrefix(service.Name, "barrier-") {
			names = append(names, service.Name)
		}
	}
	return slices.Sorted(slices.Values(names))
}

func service(name string) string {
	return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {ports: [{port: 443}]}\n"
}

func policy(name, target, hostname string) string {
	return `---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: ` + name + `}
spec:
  targetRefs: [{group: "", kind: Service, name: ` + target + `}]
  validation: {hostname: ` + hostname + `, wellKnownCACertificates: System}
`
}

func slice(name, service, address string) string {
	return `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ` + name + `, labels: {kubernetes.io/service-name: ` + service + `}}
addressType: IPv4
ports: [{port: 8443}]
endpoints: [{addresses: [` + address + `]}]
`
}

func key(kind gwapi.Kind, name string) gwapi.Key { return gwapi.KeyOf(kind, "default", name) }
