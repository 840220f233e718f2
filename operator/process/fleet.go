package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Config is what a Fleet works with.
type Config struct {
	// Envoy is the absolute path of the binary, as Check returns it.
	Envoy string
	// Env is the whole environment of every Envoy. It inherits nothing, so that
	// no secret of the operator's environment reaches the data plane.
	Env []string
	// LogLevel is Envoy's; "" is warning.
	LogLevel string
	// Concurrency is the number of worker threads of each Envoy; 0 is one per
	// processor, at most 4.
	Concurrency int
	// Runtime is the directory in which the Fleet makes one of its own for
	// sockets; "" is $XDG_RUNTIME_DIR where that is usable, else the temp
	// directory.
	Runtime string
	// Serve answers xDS on a Gateway's socket until the listener is closed.
	Serve func(gateway gwapi.Key, listener net.Listener) error
	// Drain ends the work of the Envoy whose admin socket it is given without
	// failing a request. It returns when that is done, or after a while with what is
	// cut off now. Its ctx ends when Envoy does.
	Drain func(ctx context.Context, adminSocket string) error
	// AccessLog takes the lines that Envoys write to their standard output,
	// whole lines, one at a time; nil drops them. A writer that blocks makes
	// Envoy hold back its log.
	AccessLog io.Writer
	// Log takes the Fleet's own words and those of the Envoys.
	Log *slog.Logger
	// Backoff is the pause before the first restart, doubled by each further one
	// up to 30 s; 0 is 250 ms.
	Backoff time.Duration
}

// Fleet is the set of running Envoys.
type Fleet struct {
	config  Config
	access  *lines
	wake    chan struct{}
	changes chan struct{}

	mu sync.Mutex
	// desired says of each Gateway whether an Envoy may be started for it.
	desired  map[gwapi.Key]bool
	children map[int]identity
}

// identity says what a process id stands for.
type identity struct {
	gateway gwapi.Key
	name    string
}

// New makes a Fleet that runs nothing yet.
func New(config Config) *Fleet {
	if config.LogLevel == "" {
		config.LogLevel = "warning"
	}
	if config.Concurrency == 0 {
		config.Concurrency = min(runtime.NumCPU(), 4)
	}
	if config.AccessLog == nil {
		config.AccessLog = io.Discard
	}
	if config.Backoff == 0 {
		config.Backoff = 250 * time.Millisecond
	}
	if config.Env == nil {
		// A nil environment would mean that of this process.
		config.Env = []string{}
	}
	return &Fleet{
		config:   config,
		access:   &lines{to: config.AccessLog},
		wake:     make(chan struct{}, 1),
		changes:  make(chan struct{}, 1),
		desired:  map[gwapi.Key]bool{},
		children: map[int]identity{},
	}
}

// Put says which Gateways must have an Envoy from now on. It never blocks. Of
// a Gateway only its key matters here, and whether it is Unresolved: then a
// running Envoy stays and none is started. The rest reaches Envoy over xDS.
func (f *Fleet) Put(gateways map[gwapi.Key]model.Gateway) {
	desired := make(map[gwapi.Key]bool, len(gateways))
	for key, gateway := range gateways {
		desired[key] = !gateway.Unresolved
	}
	f.mu.Lock()
	f.desired = desired
	f.mu.Unlock()
	notify(f.wake)
}

// Envoys names the Envoys of each Gateway that were started and are not gone,
// sorted; those that drain are among them, for they may still be serving. A
// Gateway without any is absent.
func (f *Fleet) Envoys() map[gwapi.Key][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	envoys := map[gwapi.Key][]string{}
	for _, id := range f.children {
		envoys[id.gateway] = append(envoys[id.gateway], id.name)
	}
	for _, names := range envoys {
		slices.Sort(names)
	}
	return envoys
}

// Lookup says which Gateway the process with this id serves and what it is
// called; false for any process that is not a living child of the Fleet.
func (f *Fleet) Lookup(pid int) (gateway gwapi.Key, name string, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, found := f.children[pid]
	return id.gateway, id.name, found
}

// Changes receives after Envoys began to answer differently; several changes
// may come as one.
func (f *Fleet) Changes() <-chan struct{} { return f.changes }

// Run starts, restarts and stops Envoys as Put asks until ctx ends; then it
// drains and stops all of them, and returns nil once the last one is reaped.
// An error means that there is no place for the sockets, and nothing runs.
func (f *Fleet) Run(ctx context.Context) error {
	dir, err := makeRuntimeDir(f.config.Runtime)
	if err != nil {
		return err
	}
	defer func() {
		if err := dir.remove(); err != nil {
			f.config.Log.Warn("runtime directory left behind", "error", err)
		}
	}()

	running := map[gwapi.Key]context.CancelFunc{}
	ended := make(chan gwapi.Key)
	for {
		for _, key := range f.reconcile(running) {
			unit := f.newUnit(key, dir.claim())
			unitCtx, stop := context.WithCancel(ctx)
			running[key] = stop
			go func() {
				unit.run(unitCtx)
				stop()
				ended <- key
			}()
		}
		select {
		case key := <-ended:
			delete(running, key)
		case <-f.wake:
		case <-ctx.Done():
			for range running {
				<-ended
			}
			return nil
		}
	}
}

// reconcile stops what is no longer desired and lists what has to be started.
// A Gateway that comes back while its Envoy drains is started when that one is
// gone: the two would contend for the same ports.
func (f *Fleet) reconcile(running map[gwapi.Key]context.CancelFunc) []gwapi.Key {
	f.mu.Lock()
	desired := f.desired
	f.mu.Unlock()
	for key, stop := range running {
		if _, keep := desired[key]; !keep {
			stop()
		}
	}
	missing := slices.SortedFunc(maps.Keys(desired), gwapi.CompareKeys)
	return slices.DeleteFunc(missing, func(key gwapi.Key) bool { return running[key] != nil || !desired[key] })
}

// Addresses are nil: Gateways have the addresses that they were built with.
func (f *Fleet) Addresses() map[gwapi.Key][]string { return nil }

// Faults are nil: why an Envoy does not run is in the log.
func (f *Fleet) Faults() map[gwapi.Key]string { return nil }

// add enters a child while it starts: the lock is held from before the process
// exists, so that Lookup knows it before it can have opened a connection.
func (f *Fleet) add(gateway gwapi.Key, start func() (pid int, err error)) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pid, err := start()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("envoy-%d", pid)
	f.children[pid] = identity{gateway: gateway, name: name}
	notify(f.changes)
	return name, nil
}

// remove forgets a child that has ended.
func (f *Fleet) remove(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.children, pid)
	notify(f.changes)
}

// notify leaves one note in a channel that holds one.
func notify(changes chan<- struct{}) {
	select {
	case changes <- struct{}{}:
	default:
	}
}
