package loop

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Source has the objects. Snapshot is nil until they were read once; what it
// returns is never modified. Changes gets a token after a change, tokens of
// several changes may be one. Need is told after each build which objects were
// named, and by whom. It says whether everything that exists of them was in the
// Snapshot; if not, nothing of that build is published, because what was not
// read yet would look as if it did not exist, and a Change follows soon.
type Source interface {
	Snapshot() *snapshot.Snapshot
	Changes() <-chan struct{}
	Need(refs map[gwapi.Key][]gwapi.Key) bool
}

// StatusSink writes the desired statuses. Put never blocks and replaces what
// was put before.
type StatusSink interface {
	Put(desired report.Set)
}

// Fleet starts and ends Envoys. Envoys lists per Gateway those that were
// started and are not gone.
type Fleet interface {
	Put(gateways map[gwapi.Key]model.Gateway)
	Envoys() map[gwapi.Key][]string
	// Addresses are where each Gateway is reached; nil where Gateways have the
	// addresses that Build gave them.
	Addresses() map[gwapi.Key][]string
	// Faults say why the Envoys of a Gateway are not run as they should be.
	Faults() map[gwapi.Key]string
	Changes() <-chan struct{}
}

// Publisher brings configuration to Envoys and knows what each acknowledged.
type Publisher interface {
	Publish(gateway gwapi.Key, resources envoy.Resources, shares map[gwapi.Key]string)
	Withdraw(gateway gwapi.Key, keep func(cluster string) bool)
	Forget(gateway gwapi.Key)
	Envoys() map[gwapi.Key][]model.Envoy
	Gone(gateway gwapi.Key, envoy string)
	Changes() <-chan struct{}
}

// Endpoints is told which clusters exist before they are published.
type Endpoints interface {
	Sync(gateway gwapi.Key, backends []model.Backend)
	Forget(gateway gwapi.Key)
}

// Checks looks at the live certificates of backends and says what it found. Put
// never blocks.
type Checks interface {
	Put(gateways map[gwapi.Key]model.Gateway)
	Probed() map[model.ProbeKey]model.Probed
	Changes() <-chan struct{}
}

// Config is what a Loop is made of.
type Config struct {
	Source    Source
	Status    StatusSink
	Fleet     Fleet
	Publisher Publisher
	Endpoints Endpoints
	// Checks is nil where nobody looks.
	Checks Checks
	// Witness is nil where nobody counts.
	Witness Witness
	Site    snapshot.Site
	Log     *slog.Logger
}

// Loop turns snapshots into configuration and status.
type Loop struct {
	Config

	published map[gwapi.Key]publication
	// faults are what of each Gateway could not be translated.
	faults map[gwapi.Key][]envoy.Fault
	// announced is where the log said that each Gateway is; nil before the first
	// batch.
	announced map[gwapi.Key]string

	// decide and translate are resolve.Decide and envoy.Translate; tests of what
	// happens when these misbehave put others here.
	decide    func(*snapshot.Snapshot) resolve.Result
	translate func(model.Gateway) (envoy.Resources, []envoy.Fault)
}

// publication is what the publisher was last given for a Gateway.
type publication struct {
	digest string
	shares map[gwapi.Key]string
}

const (
	// floor is the least time between two builds: what comes in between is one
	// batch. At 5,000 routes a build takes about as long.
	floor = 50 * time.Millisecond
	// clockCheck is how often the wall clock is compared with the next
	// deadline. A timer alone would miss a mode's end after the machine slept,
	// because timers follow the monotonic clock.
	clockCheck = time.Second
)

// New makes a Loop.
func New(config Config) *Loop {
	return &Loop{
		Config:    config,
		published: map[gwapi.Key]publication{},
		faults:    map[gwapi.Key][]envoy.Fault{},
		decide:    resolve.Decide,
		translate: envoy.Translate,
	}
}

// Run builds whenever something changed or a deadline passed, until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	var deadline time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	var found <-chan struct{}
	if l.Checks != nil {
		found = l.Checks.Changes()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.Source.Changes():
		case <-l.Fleet.Changes():
		case <-l.Publisher.Changes():
		case <-found:
		case <-timer.C:
			if wait := untilDeadline(deadline); wait > 0 {
				timer.Reset(wait)
				continue
			}
		}
		started := time.Now()
		deadline = l.batch(started)
		timer.Reset(untilDeadline(deadline))
		if !pause(ctx, floor-time.Since(started)) {
			return
		}
	}
}

// untilDeadline is how long to sleep before the clock is looked at again; not
// positive once the deadline has passed. Round strips the monotonic reading,
// so that wall clocks are compared.
func untilDeadline(deadline time.Time) time.Duration {
	if deadline.IsZero() {
		return clockCheck
	}
	return min(deadline.Round(0).Sub(time.Now().Round(0)), clockCheck)
}

// pause waits, and says whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// batch is one pass. It returns the next time at which the same objects mean
// something else.
func (l *Loop) batch(now time.Time) time.Time {
	read := l.Source.Snapshot()
	if read == nil {
		return time.Time{}
	}
	snap := *read
	snap.Now = now
	snap.Site = l.Site
	snap.Observed = l.observe()
	result, whole := l.build(&snap)
	if whole && !l.Source.Need(result.Refs) {
		l.tell(result, snap.Observed, resolve.Waiting, now)
		return result.NextDeadline
	}
	l.forget(result.Gateways)
	faultsChanged := false
	for key, gateway := range result.Gateways {
		faultsChanged = l.publish(key, gateway) || faultsChanged
	}
	l.Fleet.Put(result.Gateways)
	if whole && l.Checks != nil {
		l.Checks.Put(result.Gateways)
	}
	if whole && (faultsChanged || l.announced == nil) {
		// The model is the same, but the statuses must tell of the faults; and of
		// Envoys that were there before this process, because the fleet knows whose
		// they are by the Gateways of the first batch.
		snap.Observed = l.observe()
		result, whole = l.build(&snap)
	}
	l.announce(result.Gateways)
	if !whole {
		l.tell(result, snap.Observed, resolve.Partial, now)
		return result.NextDeadline
	}
	l.tell(result, snap.Observed, resolve.Whole, now)
	l.Status.Put(result.Reports)
	return result.NextDeadline
}

// observe joins the Envoys that exist with what each acknowledged. Whoever is
// in the ledger but does not exist any more is dropped from it.
func (l *Loop) observe() snapshot.Observed {
	// The fleet is asked second: an Envoy that started in between is then
	// expected without an acknowledgement, never acknowledged without being
	// expected.
	ledger := l.Publisher.Envoys()
	expected := l.Fleet.Envoys()
	envoys := make(map[gwapi.Key][]model.Envoy, len(expected))
	for gateway, names := range expected {
		heard := map[string]model.Envoy{}
		for _, e := range ledger[gateway] {
			heard[e.Name] = e
		}
		for _, name := range names {
			e, found := heard[name]
			if !found {
				e = model.Envoy{Name: name}
			}
			delete(heard, name)
			e.Rejections = append(slices.Clone(e.Rejections), l.rejections(gateway)...)
			envoys[gateway] = append(envoys[gateway], e)
		}
		for name := range heard {
			l.Publisher.Gone(gateway, name)
		}
	}
	for gateway, gone := range ledger {
		if _, some := expected[gateway]; some {
			continue
		}
		for _, e := range gone {
			l.Publisher.Gone(gateway, e.Name)
		}
	}
	observed := snapshot.Observed{
		Envoys: envoys, Addresses: l.Fleet.Addresses(), Fleet: l.Fleet.Faults(), Untranslatable: l.untranslatable(),
	}
	if l.Checks != nil {
		observed.Probes = l.Checks.Probed()
	}
	return observed
}

// forget drops the Gateways that are no longer ours.
func (l *Loop) forget(gateways map[gwapi.Key]model.Gateway) {
	for key := range l.published {
		if _, keep := gateways[key]; keep {
			continue
		}
		delete(l.published, key)
		delete(l.faults, key)
		l.Publisher.Forget(key)
		l.Endpoints.Forget(key)
	}
}
