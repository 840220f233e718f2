package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Config is what a Fleet works with.
type Config struct {
	// Client writes, and reads what the Cache does not have: it must ask the API
	// server itself.
	Client client.Client
	// Cache has what Selection says. Whoever made it starts it.
	Cache cache.Cache
	// Authority is the CA certificates, in PEM, that Envoys are to trust to sign
	// for the control plane; empty while they are not known, and then nothing is
	// written.
	Authority func() []byte
	// Leading says whether this replica may write.
	Leading func() bool
	Log     *slog.Logger
	// OperatorNamespace is where the xDS Service is.
	OperatorNamespace string
	// OperatorImage has the program that drains an Envoy; "" for
	// DefaultOperatorImage.
	OperatorImage string
	// Workers is how many Gateways are applied at a time; 0 is 4.
	Workers int
	// Backoff is the pause before the first retry, doubled by each further one up
	// to a minute; 0 is 250 ms.
	Backoff time.Duration
}

// Fleet brings about the Envoys of all Gateways.
type Fleet struct {
	config  Config
	queue   workqueue.TypedRateLimitingInterface[gwapi.Key]
	changes chan struct{}
	ready   chan struct{}

	mu sync.Mutex
	// desired are the Gateways that Put named last, and names finds them by
	// namespace and name of their fleet.
	desired map[gwapi.Key]model.Gateway
	names   map[types.NamespacedName]gwapi.Key
	// applied is what was last written of each object, faults is why a Gateway's
	// fleet is not as it should be.
	applied map[object]application
	faults  map[gwapi.Key]string

	observed observed
	sets     replicaSets
}

// New makes a Fleet that does nothing yet.
func New(config Config) *Fleet {
	if config.Workers == 0 {
		config.Workers = 4
	}
	if config.Backoff == 0 {
		config.Backoff = 250 * time.Millisecond
	}
	return &Fleet{
		config: config,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[gwapi.Key](config.Backoff, time.Minute)),
		changes:  make(chan struct{}, 1),
		ready:    make(chan struct{}),
		desired:  map[gwapi.Key]model.Gateway{},
		names:    map[types.NamespacedName]gwapi.Key{},
		applied:  map[object]application{},
		faults:   map[gwapi.Key]string{},
		observed: newObserved(),
		sets:     replicaSets{deployment: map[types.UID]types.UID{}},
	}
}

// Put says which Gateways must have Envoys from now on, and how these are to be
// run. It never blocks. An unresolved Gateway keeps what it has.
func (f *Fleet) Put(gateways map[gwapi.Key]model.Gateway) {
	var changed []gwapi.Key
	f.mu.Lock()
	for key, gateway := range gateways {
		before, known := f.desired[key]
		if !known || !reflect.DeepEqual(wish(&before), wish(&gateway)) {
			changed = append(changed, key)
		}
	}
	for key := range f.desired {
		if _, still := gateways[key]; !still {
			delete(f.faults, key)
			f.forget(key)
		}
	}
	f.desired = maps.Clone(gateways)
	f.names = make(map[types.NamespacedName]gwapi.Key, len(gateways))
	for key := range gateways {
		f.names[types.NamespacedName{Namespace: key.Namespace, Name: Name(key)}] = key
	}
	f.mu.Unlock()
	for _, key := range changed {
		f.queue.Add(key)
	}
	if len(changed) > 0 {
		// Pods that were seen before their Gateway count from now on.
		notify(f.changes)
	}
}

// wished is the part of a Gateway that its fleet depends on.
type wished struct {
	fleet      model.Fleet
	ports      [][2]int32
	protocols  []model.Protocol
	readiness  int32
	unresolved bool
}

func wish(gateway *model.Gateway) wished {
	w := wished{fleet: gateway.Fleet, readiness: gateway.ReadinessPort, unresolved: gateway.Unresolved}
	for i := range gateway.Listeners {
		l := &gateway.Listeners[i]
		w.ports = append(w.ports, [2]int32{l.Port, l.Declared})
		w.protocols = append(w.protocols, l.Protocol)
	}
	return w
}

// Poke looks at every Gateway again: this replica may write from now on, or
// Envoys are to trust other certificates.
func (f *Fleet) Poke() {
	f.mu.Lock()
	keys := make([]gwapi.Key, 0, len(f.desired))
	for key := range f.desired {
		keys = append(keys, key)
	}
	f.mu.Unlock()
	for _, key := range keys {
		f.queue.Add(key)
	}
}

// Changes receives after Envoys, Addresses or Faults began to answer
// differently; several changes may come as one.
func (f *Fleet) Changes() <-chan struct{} { return f.changes }

// Ready is closed once everything that exists has been seen. Before that, Envoys
// and Addresses leave out what is there, and Lookup waits.
func (f *Fleet) Ready() <-chan struct{} { return f.ready }

// Faults says of each Gateway whose fleet is not as it should be what is in the
// way, naming the object.
func (f *Fleet) Faults() map[gwapi.Key]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	faults := maps.Clone(f.faults)
	for key := range f.desired {
		if _, worse := faults[key]; worse {
			continue
		}
		if why := f.observed.unstarted[f.place(key)]; why != "" && len(f.envoys(key)) == 0 {
			faults[key] = why
		}
	}
	return faults
}

// place is the namespace and name of a Gateway's fleet.
func (f *Fleet) place(key gwapi.Key) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: Name(key)}
}

// Run follows the cluster and applies until ctx ends. An error means that it
// could not begin.
func (f *Fleet) Run(ctx context.Context) error {
	defer f.queue.ShutDown()
	stop, err := f.follow(ctx)
	defer stop()
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	close(f.ready)
	notify(f.changes)
	f.Poke()
	var workers sync.WaitGroup
	for range f.config.Workers {
		workers.Go(func() {
			for f.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	f.queue.ShutDown()
	workers.Wait()
	return nil
}

// next applies one Gateway of the queue; false once that is shut down.
func (f *Fleet) next(ctx context.Context) bool {
	key, down := f.queue.Get()
	if down {
		return false
	}
	defer f.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}
	if err := f.attempt(ctx, key); err != nil {
		f.queue.AddRateLimited(key)
		return true
	}
	f.queue.Forget(key)
	return true
}

// notify leaves one note in a channel that holds one.
func notify(changes chan<- struct{}) {
	select {
	case changes <- struct{}{}:
	default:
	}
}
