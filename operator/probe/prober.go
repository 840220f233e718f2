package probe

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// The bounds of what a Prober does, where Config does not say.
const (
	DefaultConcurrency = 16
	DefaultRate        = 20.0
	DefaultTimeout     = 5 * time.Second
)

// What Config may say. A handshake may cost 1 MiB of memory until it ends.
const (
	MostConcurrency = 256
	LeastRate       = 0.1
	MostRate        = 1000.0
	LeastTimeout    = 100 * time.Millisecond
	MostTimeout     = time.Minute
)

const (
	// soon is within what time something new is asked for the first time.
	soon = 2 * time.Second
	// again is how long after an endpoint could not be reached it is asked once
	// more, before that counts: pods come and go.
	again = 5 * time.Second
	// sweep is how often it is looked for what has become old.
	sweep = 10 * time.Second
	// batch is how long findings are collected before a build is asked for.
	batch = 500 * time.Millisecond
	// calm is the least time between two changes of what is said of a subject:
	// whoever answers differently each time causes no more.
	calm = 10 * time.Second
	// complaints is how often at most the log is told that Pods cannot be read.
	complaints = time.Minute
	// countsFor is for how many intervals what an endpoint showed counts, and
	// keptFor for how many a verdict is kept while some endpoints, or all of them
	// after a change of leader, have yet to be asked.
	countsFor, keptFor = 3, 2
)

// Config is what a Prober is made of.
type Config struct {
	// Leading says whether this replica holds the lease, Poke that it may have
	// changed.
	Leading func() bool
	// Pod reads a Pod from the API server, not from a cache.
	Pod func(ctx context.Context, name types.NamespacedName) (*corev1.Pod, error)
	// Refused are addresses that are never dialled, such as the API server's.
	Refused []netip.Addr
	// Dial opens a connection; nil is a plain net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Concurrency is how many endpoints are asked at a time, Rate how many a second
	// begin to be, and Timeout bounds each; 0 is the default.
	Concurrency int
	Rate        float64
	Timeout     time.Duration
	Log         *slog.Logger
}

// Prober asks endpoints and keeps what they showed. Its methods may be called at
// the same time.
type Prober struct {
	config  Config
	pokes   chan struct{}
	changes chan struct{}

	mu       sync.Mutex
	subjects map[model.ProbeKey]*subject
	slices   map[types.NamespacedName][]*discoveryv1.EndpointSlice
	// stale are the Services whose slices changed since they were looked at.
	stale map[types.NamespacedName]struct{}
	// services are the subjects of each Service.
	services  map[types.NamespacedName]map[*subject]struct{}
	published map[model.ProbeKey]model.Probed
	// notify is when a build is to be asked for; zero for not at all.
	notify time.Time
	// complained is when the log was last told that a Pod could not be read, unread
	// how many could not since.
	complained time.Time
	unread     int
	// term is nil while this replica does not lead.
	term *term
}

// New makes a Prober that asks nobody before Run.
func New(config Config) *Prober {
	if config.Concurrency <= 0 {
		config.Concurrency = DefaultConcurrency
	}
	if config.Rate <= 0 {
		config.Rate = DefaultRate
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	return &Prober{
		config: config,
		pokes:  make(chan struct{}, 1), changes: make(chan struct{}, 1),
		subjects:  map[model.ProbeKey]*subject{},
		slices:    map[types.NamespacedName][]*discoveryv1.EndpointSlice{},
		stale:     map[types.NamespacedName]struct{}{},
		services:  map[types.NamespacedName]map[*subject]struct{}{},
		published: map[model.ProbeKey]model.Probed{},
	}
}

// Poke has Leading asked again.
func (p *Prober) Poke() { signal(p.pokes) }

// Changes gets a value after a verdict changed.
func (p *Prober) Changes() <-chan struct{} { return p.changes }

// Probed are the verdicts. It never changes what it returned.
func (p *Prober) Probed() map[model.ProbeKey]model.Probed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.published)
}

// Put says what is to be checked. It does not block.
func (p *Prober) Put(gateways map[gwapi.Key]model.Gateway) {
	wanted := wantedOf(gateways)
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, s := range p.subjects {
		if wanted[key] == nil {
			p.dropSubject(s)
		}
	}
	for key, want := range wanted {
		if known := p.subjects[key]; known != nil {
			known.adopt(want)
			continue
		}
		p.addSubject(want)
	}
	p.rouse()
}

// SetSlices takes the EndpointSlices of a Service, none when the last one is
// gone. It does not block.
func (p *Prober) SetSlices(service types.NamespacedName, endpointSlices []*discoveryv1.EndpointSlice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(endpointSlices) == 0 {
		delete(p.slices, service)
	} else {
		p.slices[service] = endpointSlices
	}
	if len(p.services[service]) == 0 {
		return
	}
	p.stale[service] = struct{}{}
	p.rouse()
}

// Run asks endpoints while this replica leads, until ctx ends. Every term begins
// knowing nothing.
func (p *Prober) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	end := func() {}
	defer func() { end() }()
	for {
		leading := p.config.Leading()
		switch {
		case leading && !p.inTerm():
			own, cancel := context.WithCancel(ctx)
			t := p.beginTerm()
			running.Go(func() { t.run(own) })
			end = func() { cancel(); p.endTerm(t) }
		case !leading && p.inTerm():
			end()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.pokes:
		}
	}
}

// rouse has the scheduler look again. The caller holds mu.
func (p *Prober) rouse() {
	if p.term != nil {
		signal(p.term.wake)
	}
}

func (p *Prober) inTerm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term != nil
}

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // One is on its way, which covers this.
	}
}
