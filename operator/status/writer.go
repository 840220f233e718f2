package status

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// FieldOwner is the manager under which the API server lists what is written.
const FieldOwner = "backendtls-operator"

// The pace of writing. What admits a new mode is exempt: the mode waits for it.
const (
	workers     = 8
	writeRate   = rate.Limit(100)
	writeBurst  = 200
	retryLeast  = 10 * time.Millisecond
	retryMost   = 30 * time.Second
	goneAfter   = 3
	saidAgainIn = 30 * time.Second
	// unlisted is how long to wait for a kind whose objects were not listed yet.
	unlisted = 500 * time.Millisecond
	// writeTimeout ends a write that got no answer. It is shorter than the time
	// between a replica's last moment of leading and the next one's first.
	writeTimeout = 4 * time.Second
)

// pace is how long to wait for a kind that is not installed, and after a fault.
type pace struct{ absent, fault time.Duration }

var usualPace = pace{absent: 30 * time.Second, fault: 2 * time.Second}

// The priorities of objects in the queue.
const (
	// urgent: a mode waits for it.
	urgent = 100
	// changed: something else is to be said than before.
	changed = 0
	// checked: the object changed, or another replica wrote until now.
	checked = -100
)

// Config is what a Writer is made of.
type Config struct {
	// Client writes, and lists one object of each kind to see whether the kind is
	// installed. It should have no rate limit: the Writer has one, which lets pass
	// what a mode waits for. It must not read from a cache.
	Client client.Client
	// Cache has the live objects and tells of their changes.
	Cache cache.Cache
	// Leading says whether this replica may write, now.
	Leading func() bool
	// Tell is told once of each change of a policy's SecurityDegraded and
	// BackendsVerified that was written, with the object that was replaced, which
	// it must not modify. It must not block. Nil: only the log tells.
	Tell func(policy metav1.Object, changes []report.Change)
	Log  *slog.Logger
	Now  func() time.Time
}

// Writer brings desired statuses to the API server.
type Writer struct {
	config     Config
	pace       pace
	wake       chan struct{}
	limiter    *rate.Limiter
	counts     counts
	complaints complaints

	mu sync.Mutex
	// put is what is desired, nil before anybody said.
	put report.Set
	// compared is the one of which every difference to those before is queued.
	compared report.Set
	// retired is what was last desired of anonymous objects that are not reported
	// on any more.
	retired map[gwapi.Key]report.Report
	tracks  map[gwapi.Key]*track
	// informers are those of the kinds that are installed.
	informers map[gwapi.Kind]cache.Informer
	// poked asks for a look at every object.
	poked bool
}

// New makes a Writer that does not write yet.
func New(config Config) *Writer {
	return &Writer{
		config: config, pace: usualPace, wake: make(chan struct{}, 1), limiter: rate.NewLimiter(writeRate, writeBurst),
		counts: newCounts(), complaints: complaints{log: config.Log, now: config.Now},
		retired: map[gwapi.Key]report.Report{}, tracks: map[gwapi.Key]*track{}, informers: map[gwapi.Kind]cache.Informer{},
	}
}

// Put replaces the desired statuses; the set must not be changed afterwards. It
// never blocks. It is to be called on every replica, so that whoever is elected
// knows what was said.
func (w *Writer) Put(desired report.Set) {
	if desired == nil {
		desired = report.Set{}
	}
	w.mu.Lock()
	w.put = desired
	w.mu.Unlock()
	w.rouse()
}

// Poke asks for a look at every object: another replica wrote until now. It never
// blocks.
func (w *Writer) Poke() {
	w.mu.Lock()
	w.poked = true
	w.mu.Unlock()
	w.rouse()
}

func (w *Writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // It will look at the newest anyway.
	}
}

// Run writes until ctx ends, whenever this replica leads. The Cache must be
// running, or be started soon.
func (w *Writer) Run(ctx context.Context) error {
	queue := priorityqueue.New("status", func(options *priorityqueue.Opts[gwapi.Key]) {
		options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[gwapi.Key](retryLeast, retryMost)
	})
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { w.work(ctx, queue) })
	}
	running.Go(func() { w.listenAll(ctx, queue) })
	w.dispatch(ctx, queue)
	queue.ShutDown()
	running.Wait()
	return nil
}

// work settles objects, one after the other.
func (w *Writer) work(ctx context.Context, queue priorityqueue.PriorityQueue[gwapi.Key]) {
	for {
		key, priority, ended := queue.GetWithPriority()
		if ended {
			return
		}
		v := w.settle(ctx, key, false)
		if v.unpaid && w.limiter.Wait(ctx) == nil {
			// What was read is not the newest any more.
			v = w.settle(ctx, key, true)
		}
		switch {
		case v.retry:
			queue.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &priority}, key)
		case v.after > 0:
			queue.AddWithOpts(priorityqueue.AddOpts{After: v.after, Priority: &priority}, key)
		default:
			queue.Forget(key)
		}
		queue.Done(key)
	}
}
