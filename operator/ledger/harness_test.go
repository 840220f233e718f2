package ledger

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/authority"
)

// book is the ledger of one replica, written by the test.
type book struct {
	mu      sync.Mutex
	envoys  map[gwapi.Key]map[string]model.Envoy
	changes chan struct{}
}

func newBook() *book {
	return &book{envoys: map[gwapi.Key]map[string]model.Envoy{}, changes: make(chan struct{}, 1)}
}

func (b *book) Changes() <-chan struct{} { return b.changes }

func (b *book) Envoys() map[gwapi.Key][]model.Envoy {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[gwapi.Key][]model.Envoy{}
	for gateway, envoys := range b.envoys {
		for _, name := range slices.Sorted(maps.Keys(envoys)) {
			all[gateway] = append(all[gateway], envoys[name])
		}
	}
	return all
}

func (b *book) write(gateway gwapi.Key, envoys ...model.Envoy) {
	b.mu.Lock()
	for _, e := range envoys {
		if b.envoys[gateway] == nil {
			b.envoys[gateway] = map[string]model.Envoy{}
		}
		b.envoys[gateway][e.Name] = e
	}
	b.mu.Unlock()
	b.tell()
}

func (b *book) gone(gateway gwapi.Key, name string) {
	b.mu.Lock()
	delete(b.envoys[gateway], name)
	b.mu.Unlock()
	b.tell()
}

func (b *book) tell() {
	select {
	case b.changes <- struct{}{}:
	default:
	}
}

// registry is the API server's knowledge: the pods, and who has which token.
type registry struct {
	mu     sync.Mutex
	pods   []Pod
	tokens map[string]Caller
	// asked counts the callers by token.
	asked   map[string]int
	changes []chan struct{}
}

func (r *registry) put(pod Pod, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pods = append(slices.DeleteFunc(r.pods, func(p Pod) bool { return p.UID == pod.UID }), pod)
	r.tokens[token] = Caller{
		Namespace: "backendtls-system", ServiceAccount: "backendtls-operator", Pod: pod.Name, UID: pod.UID,
		Expires: time.Now().Add(time.Hour),
	}
	r.tell()
}

func (r *registry) remove(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pods = slices.DeleteFunc(r.pods, func(p Pod) bool { return p.UID == uid })
	r.tell()
}

func (r *registry) tell() {
	for _, c := range r.changes {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (r *registry) grant(token string, change func(*Caller)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.tokens[token]
	change(&c)
	r.tokens[token] = c
}

func (r *registry) count(token string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[token]
}

func (r *registry) Identify(ctx context.Context) (Caller, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return Caller{}, errors.New("no token")
	}
	token := strings.TrimPrefix(values[0], "Bearer ")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[token]++
	caller, known := r.tokens[token]
	switch {
	case token == panics:
		panic("an authenticator with a fault")
	case !known:
		return Caller{}, errors.New("not authenticated")
	}
	return caller, nil
}

const panics = "panics"

// view is the registry as one replica sees it.
type view struct {
	*registry
	changes chan struct{}
}

func (v view) Changes() <-chan struct{} { return v.changes }

func (v view) Pods() []Pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.pods)
}

// world is some replicas, each at an address of the loopback.
type world struct {
	*registry
	t    *testing.T
	ca   *authority.Authority
	port uint16
}

// stored is a Secret that anybody may write.
type stored struct {
	mu     sync.Mutex
	secret corev1.Secret
}

func (s *stored) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret.DeepCopyInto(o.(*corev1.Secret))
	return nil
}

func (s *stored) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.(*corev1.Secret).DeepCopyInto(&s.secret)
	return nil
}

func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	ca, err := authority.Open(t.Context(), authority.Config{
		Client: &stored{}, Namespace: "backendtls-system", Leading: func() bool { return true },
		ServerNames: []string{"backendtls-xds.backendtls-system.svc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, ca: newAuthority(t),
		registry: &registry{tokens: map[string]Caller{}, asked: map[string]int{}},
	}
	first := w.listen("127.0.0.99", 0)
	w.port = uint16(first.Addr().(*net.TCPAddr).Port)
	_ = first.Close()
	return w
}

func (w *world) listen(ip string, port uint16) net.Listener {
	w.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", fmt.Sprintf("%s:%d", ip, port))
	if err != nil {
		w.t.Fatal(err)
	}
	return listener
}

// replica is one Ledger that runs.
type replica struct {
	*Ledger
	*book
	t         *testing.T
	pod       Pod
	tokenFile string
	stop      func()
}

// Envoys is the merged ledger, Changes its signal.
func (r *replica) Envoys() map[gwapi.Key][]model.Envoy { return r.Ledger.Envoys() }
func (r *replica) Changes() <-chan struct{}            { return r.Ledger.Changes() }

// prepare makes a replica that does not run yet.
func (w *world) prepare(number int, change func(*Config, *timing)) *replica {
	w.t.Helper()
	name := fmt.Sprintf("operator-%d", number)
	r := &replica{
		t: w.t, book: newBook(), tokenFile: filepath.Join(w.t.TempDir(), "token"),
		pod: Pod{Name: name, UID: types.UID("uid-" + name), IP: fmt.Sprintf("127.0.0.%d", 100+number)},
	}
	r.setToken("token-" + name)
	v := view{registry: w.registry, changes: make(chan struct{}, 1)}
	w.mu.Lock()
	w.registry.changes = append(w.registry.changes, v.changes)
	w.mu.Unlock()
	config := Config{
		Local: r.book, Peers: v, Authenticator: w.registry,
		Namespace: "backendtls-system", ServiceAccount: "backendtls-operator", Self: name, Port: w.port,
		ServerTLS: w.ca.TLSConfig(), ClientTLS: w.ca.ClientConfig, TokenFile: r.tokenFile,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	}
	limits := timing{
		heartbeat: 50 * time.Millisecond, silence: 20 * time.Second, settle: time.Millisecond,
		renewal: time.Minute, retry: 10 * time.Millisecond, maxRetry: 50 * time.Millisecond, review: time.Minute,
	}
	if change != nil {
		change(&config, &limits)
	}
	ledger, err := New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	ledger.timing = limits
	r.Ledger = ledger
	return r
}

func (r *replica) setToken(token string) {
	r.t.Helper()
	if err := os.WriteFile(r.tokenFile, []byte(token+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start runs a replica, known to all.
func (w *world) start(number int, change func(*Config, *timing)) *replica {
	w.t.Helper()
	r := w.prepare(number, change)
	w.put(r.pod, "token-"+r.pod.Name)
	r.run(w.listen(r.pod.IP, w.port))
	return r
}

func (r *replica) run(listener net.Listener) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, listener) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(r.stop)
}

// eventually waits for the merged ledger to be so.
func (r *replica) eventually(what string, holds func(envoys []model.Envoy) bool) {
	r.t.Helper()
	limit := time.After(time.Minute)
	for !holds(r.Envoys()[web]) {
		select {
		case <-r.Changes():
		case <-limit:
			r.t.Fatalf("%s waited in vain for %s; it has %+v", r.pod.Name, what, r.Envoys())
		}
	}
}

// sees waits until the merged ledger of web is exactly that.
func (r *replica) sees(want ...string) {
	r.t.Helper()
	r.eventually(fmt.Sprint(want), func(envoys []model.Envoy) bool {
		return slices.Equal(inWords(envoys), want)
	})
}

// inWords is each Envoy in a word: its name, its share of the Gateway, and "*" if
// it is connected.
func inWords(envoys []model.Envoy) (words []string) {
	for _, e := range envoys {
		word := e.Name + "=" + e.Settled[web]
		if e.Connected {
			word += "*"
		}
		words = append(words, word)
	}
	return words
}

func connected(name, share string, held ...model.HeldCluster) model.Envoy {
	return model.Envoy{Name: name, Connected: true, Settled: map[gwapi.Key]string{web: share}, Held: held}
}

func disconnected(name, share string, held ...model.HeldCluster) model.Envoy {
	e := connected(name, share, held...)
	e.Connected = false
	return e
}

// rogueTLS is of another CA.
func rogueTLS(t *testing.T) *tls.Config { return newAuthority(t).TLSConfig() }
