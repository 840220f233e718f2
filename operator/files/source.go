package files

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// EndpointSink is told the EndpointSlices of each Service whose slices
// changed, sorted by name; none when the last one is gone. It must not block.
type EndpointSink interface {
	SetSlices(service types.NamespacedName, slices []*discoveryv1.EndpointSlice)
}

// Config is what a Source is made of.
type Config struct {
	// Dir holds the manifests.
	Dir string
	// State is the state directory; "" for Dir/.backendtls.
	State string
	Log   *slog.Logger
	// Now gives the times in statuses.
	Now       func() time.Time
	Endpoints EndpointSink
}

// Source is a directory of manifests as a stream of Snapshots, and the sink of
// their statuses.
type Source struct {
	config  Config
	state   string
	locks   locks
	pace    pace
	tree    *tree
	journal *journal
	sink    *statusSink
	slices  map[types.NamespacedName][]*discoveryv1.EndpointSlice

	generations manifest.Generations
	// unsaved says that the generations could not be written.
	unsaved bool

	// mu guards what a Snapshot is made of.
	mu       sync.Mutex
	set      *manifest.Set
	statuses manifest.Statuses

	snapshot atomic.Pointer[snapshot.Snapshot]
	changes  chan struct{}
}

// pace is how long things are waited for.
type pace struct {
	// look is from an event to the first look at the tree.
	look time.Duration
	// settle is how long a file must stay as it is before it is read.
	settle time.Duration
	// batch is how long a file that is ready waits for others, so that what is
	// changed together is read together.
	batch time.Duration
	// writing is how long a file may be kept open by a writer.
	writing time.Duration
	// rescan is the time between looks without an event; blind the same where
	// no events can be had.
	rescan, blind time.Duration
	// retry is the first wait after a status could not be written; it doubles
	// up to retryMost.
	retry, retryMost time.Duration
}

var usualPace = pace{
	look: 5 * time.Millisecond, settle: 50 * time.Millisecond, batch: 500 * time.Millisecond, writing: 5 * time.Second,
	rescan: 10 * time.Second, blind: time.Second, retry: 500 * time.Millisecond, retryMost: 30 * time.Second,
}

// Open takes the directory for this process and prepares the state. Errors are
// one line and say what to do. Nothing is written where it fails because of
// another operator.
func Open(config Config) (*Source, error) {
	if err := checkDir(config.Dir); err != nil {
		return nil, err
	}
	state, err := stateDir(config.Dir, config.State)
	if err != nil {
		return nil, err
	}
	held, err := acquire(config.Dir, state)
	if err != nil {
		return nil, err
	}
	source := &Source{
		config: config, state: state, locks: held, pace: usualPace,
		tree: newTree(), journal: &journal{log: config.Log}, changes: make(chan struct{}, 1),
	}
	if source.generations, err = manifest.ReadGenerations(state); err != nil {
		// Statuses carry the generation they were written for; counting goes on
		// from those.
		config.Log.Warn("generations are counted anew", "error", err)
		source.generations = manifest.Generations{}
	}
	var problems []manifest.Problem
	source.statuses, problems = manifest.ReadStatus(state)
	for _, problem := range problems {
		config.Log.Warn("a status file is not used and will be written anew",
			"file", problem.File, "error", problem.Message)
	}
	source.sink = newStatusSink(source)
	return source, nil
}

// Close gives the directory up. Run does it too; Close is for a Source that
// was never run.
func (s *Source) Close() error { return s.locks.release() }

// Snapshot is what was read last, nil before everything could be read once.
// It lacks Now and what is observed, and its Site has no AllowAddresses.
func (s *Source) Snapshot() *snapshot.Snapshot { return s.snapshot.Load() }

// Changes gets a value after something changed that a build depends on: any
// object but an EndpointSlice, or a status entry that decides what is done.
func (s *Source) Changes() <-chan struct{} { return s.changes }

// Put replaces the statuses that ought to be written. It never blocks.
func (s *Source) Put(desired report.Set) { s.sink.put(desired) }

// Run watches the directory and writes statuses until ctx ends. It gives the
// directory up when it returns.
func (s *Source) Run(ctx context.Context) error {
	writer, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.sink.run(writer) })
	s.read(ctx)
	stop()
	running.Wait()
	if err := s.locks.release(); err != nil {
		return fmt.Errorf("release the lock of %s: %w", s.config.Dir, err)
	}
	return nil
}

// read looks at the tree whenever something may have happened in it.
func (s *Source) read(ctx context.Context) {
	watch := newWatch(s.config.Log)
	defer watch.close()
	next := time.NewTimer(0)
	defer next.Stop()
	armed := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-watch.events():
			if !armed {
				next.Reset(s.pace.look)
				armed = true
			}
		case <-next.C:
			wait := s.look(watch)
			// Events wake it up earlier, unless it waits for files to settle.
			armed = wait <= s.pace.settle
			next.Reset(wait)
		}
	}
}

// look reads what changed and says when to look again.
func (s *Source) look(watch *watch) time.Duration {
	listing, err := manifest.List(s.config.Dir)
	if err != nil {
		s.journal.unreadable(s.config.Dir, err)
		return s.pace.blind
	}
	s.journal.readable(s.config.Dir)
	seeing := watch.follow(listing.Directories)
	verdict := s.tree.look(listing, time.Now(), s.pace)
	if verdict.changed {
		s.apply()
	}
	if s.unsaved {
		s.saveGenerations()
	}
	switch {
	case verdict.wait > 0:
		return verdict.wait
	case !seeing:
		return s.pace.blind
	}
	return s.pace.rescan
}

// apply makes a Snapshot of the tree.
func (s *Source) apply() {
	s.mu.Lock()
	last := s.set
	s.mu.Unlock()
	set, problems := manifest.Combine(s.tree.parsed(), last)
	s.journal.problems(problems)
	if s.snapshot.Load() == nil {
		if waiting := s.tree.waiting(); len(waiting) > 0 {
			s.journal.waiting(waiting)
			return
		}
	}
	s.journal.ignored(set.Ignored())
	s.count(set)
	s.tellEndpoints(set)
	s.mu.Lock()
	changed := last == nil || !set.SameObjects(last)
	s.set = set
	s.publish()
	s.mu.Unlock()
	s.sink.wake()
	if changed {
		s.signal()
	}
}

// publish makes a Snapshot of what is known. The caller holds mu.
func (s *Source) publish() {
	if s.set == nil {
		return
	}
	s.snapshot.Store(s.set.WithStatuses(s.statuses).WithGenerations(s.generations).Snapshot())
}

func (s *Source) signal() {
	select {
	case s.changes <- struct{}{}:
	default: // One is waiting to be read, which covers this change too.
	}
}

// count counts the generations on and keeps them.
func (s *Source) count(set *manifest.Set) {
	s.mu.Lock()
	next := s.generations.Next(set.WithStatuses(s.statuses))
	changed := !maps.Equal(next, s.generations)
	s.generations = next
	s.mu.Unlock()
	if changed {
		s.saveGenerations()
	}
}

func (s *Source) saveGenerations() {
	data, err := s.generations.Encode()
	if err == nil {
		err = replace(manifest.GenerationsPath(s.state), data, true)
	}
	s.unsaved = err != nil
	s.journal.stateWrite("generations", err)
}

// tellEndpoints tells the sink about each Service whose slices changed.
func (s *Source) tellEndpoints(set *manifest.Set) {
	current := set.EndpointSlices()
	for service, was := range s.slices {
		if _, found := current[service]; !found && len(was) > 0 {
			s.config.Endpoints.SetSlices(service, nil)
		}
	}
	for service, now := range current {
		if !equality.Semantic.DeepEqual(now, s.slices[service]) {
			s.config.Endpoints.SetSlices(service, now)
		}
	}
	s.slices = current
}

// Need is true: everything that exists was read.
func (s *Source) Need(map[gwapi.Key][]gwapi.Key) bool { return true }
