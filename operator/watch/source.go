package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Config is what a Source is made of.
type Config struct {
	// Cache is NewCache's, or one like it; somebody else starts it.
	Cache cache.Cache
	// Client reads contents of Secrets and ConfigMaps and what
	// CustomResourceDefinitions there are: without a cache, as NewReader makes it.
	Client    client.Reader
	Log       *slog.Logger
	Endpoints EndpointSink
}

// pace is how long things are waited for.
type pace struct {
	// sync is between looks at whether everything was read.
	sync time.Duration
	// missing is between questions for CustomResourceDefinitions that are missing.
	missing time.Duration
	// recheck is the same once the Source works: for kinds that are installed
	// later, and for the bundle's version.
	recheck time.Duration
	// patience is how long a content may take until it counts as unreadable, and
	// attempt how long one of several tries.
	patience, attempt time.Duration
	// soon is the first wait after a failed try, doubling up to a second; later
	// the first one after patience ended, doubling up to latest.
	soon, later, latest time.Duration
}

var usualPace = pace{
	sync: 20 * time.Millisecond, missing: 2 * time.Second, recheck: 30 * time.Second,
	patience: 5 * time.Second, attempt: 2 * time.Second,
	soon: 100 * time.Millisecond, later: 5 * time.Second, latest: time.Minute,
}

// skippedRoom is how many objects are remembered that changed and that nobody had
// named. In a cluster whose Services come and go there may be no build for days;
// one for every so many of them costs next to nothing.
const skippedRoom = 10_000

// Source is the API server as a stream of Snapshots.
type Source struct {
	config   Config
	pace     pace
	journal  *journal
	tables   tables
	slices   *sliceIndex
	contents *contents
	subjects []*subject
	// What the log last said of these findings.
	missing, absent, forbidden, denied string

	mu      sync.Mutex
	synced  bool
	current *snapshot.Snapshot
	// refs are what the last build named; skipped the objects whose changes did
	// not count since then, because nobody had named them: less than room.
	refs    map[gwapi.Key][]gwapi.Key
	skipped map[gwapi.Key]struct{}
	room    int
	// held is since when Need has been saying no.
	held    time.Time
	bundles map[string]string
	// trustBundlesServed says that ClusterTrustBundles are followed,
	// trustBundlesDenied why not if there may be some.
	trustBundlesServed bool
	trustBundlesDenied string
	changes            chan struct{}
}

// tables are the objects that a Snapshot holds, but for contents.
type tables struct {
	classes      *table[*gatewayv1.GatewayClass]
	gateways     *table[*gatewayv1.Gateway]
	listenerSets *table[*gatewayv1.ListenerSet]
	httpRoutes   *table[*gatewayv1.HTTPRoute]
	grpcRoutes   *table[*gatewayv1.GRPCRoute]
	tlsRoutes    *table[*gatewayv1.TLSRoute]
	tcpRoutes    *table[*gatewayv1.TCPRoute]
	policies     *table[*gatewayv1.BackendTLSPolicy]
	grants       *table[*gatewayv1.ReferenceGrant]
	parameters   *table[*v1alpha1.GatewayParameters]
	services     *table[*corev1.Service]
	namespaces   *table[*corev1.Namespace]
	trustBundles *table[*certificatesv1.ClusterTrustBundle]
}

// New makes a Source that has read nothing yet.
func New(config Config) *Source {
	s := &Source{
		config: config, pace: usualPace, journal: newJournal(config.Log),
		slices: newSliceIndex(config.Endpoints), skipped: map[gwapi.Key]struct{}{},
		room: skippedRoom, changes: make(chan struct{}, 1),
	}
	s.contents = newContents(s)
	s.tables = tables{
		classes:      newTable(s, gwapi.KindGatewayClass, specDiffers[*gatewayv1.GatewayClass]),
		gateways:     newTable(s, gwapi.KindGateway, specDiffers[*gatewayv1.Gateway]),
		listenerSets: newTable(s, gwapi.KindListenerSet, specDiffers[*gatewayv1.ListenerSet]),
		httpRoutes:   newTable(s, gwapi.KindHTTPRoute, specDiffers[*gatewayv1.HTTPRoute]),
		grpcRoutes:   newTable(s, gwapi.KindGRPCRoute, specDiffers[*gatewayv1.GRPCRoute]),
		tlsRoutes:    newTable(s, gwapi.KindTLSRoute, specDiffers[*gatewayv1.TLSRoute]),
		tcpRoutes:    newTable(s, gwapi.KindTCPRoute, specDiffers[*gatewayv1.TCPRoute]),
		policies:     newTable(s, gwapi.KindBackendTLSPolicy, policyDiffers),
		grants:       newTable(s, gwapi.KindReferenceGrant, specDiffers[*gatewayv1.ReferenceGrant]),
		parameters:   newTable(s, gwapi.KindGatewayParameters, specDiffers[*v1alpha1.GatewayParameters]),
		services:     newTable(s, gwapi.KindService, serviceDiffers),
		namespaces:   newTable(s, gwapi.KindNamespace, labelsDiffer[*corev1.Namespace]),
		trustBundles: newTrustBundles(s),
	}
	s.tables.services.named = true
	s.subjects = s.everySubject()
	return s
}

// Changes gets a value after something changed that a build depends on.
func (s *Source) Changes() <-chan struct{} { return s.changes }

// Ready says whether everything was read once, for readiness checks.
func (s *Source) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.synced
}

// Snapshot is everything as it is known now, nil before everything was read
// once. It lacks Now, Site and what is observed. Need speaks of the Snapshot
// that was taken last, so that only whoever calls Need may call it; others ask
// Ready.
func (s *Source) Snapshot() *snapshot.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.synced {
		return nil
	}
	if s.current != nil {
		return s.current
	}
	secrets, configMaps, faults := s.contents.take()
	s.current = &snapshot.Snapshot{
		GatewayClasses:  s.tables.classes.objects(),
		Gateways:        s.tables.gateways.objects(),
		ListenerSets:    s.tables.listenerSets.objects(),
		HTTPRoutes:      s.tables.httpRoutes.objects(),
		GRPCRoutes:      s.tables.grpcRoutes.objects(),
		TLSRoutes:       s.tables.tlsRoutes.objects(),
		TCPRoutes:       s.tables.tcpRoutes.objects(),
		TLSPolicies:     s.tables.policies.objects(),
		ReferenceGrants: s.tables.grants.objects(),
		Parameters:      s.tables.parameters.objects(),
		Services:        s.tables.services.objects(),
		Namespaces:      s.tables.namespaces.objects(),
		TrustBundles:    s.tables.trustBundles.objects(),

		TrustBundlesServed: s.trustBundlesServed,
		TrustBundlesDenied: s.trustBundlesDenied,

		Secrets:    secrets,
		ConfigMaps: configMaps,
		Faults:     faults,
		Bundles:    s.bundles,
	}
	return s.current
}

// Need is told what a build of the last Snapshot named, and keeps refs. It says
// whether every named Secret and ConfigMap that exists was in that Snapshot in
// its newest version, or as a Fault: if not, a Change follows once it is. So
// that nobody who keeps renaming things can hold everybody up, it says yes
// after a while all the same.
func (s *Source) Need(refs map[gwapi.Key][]gwapi.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs = refs
	for key := range s.skipped {
		if _, named := refs[key]; named {
			s.signal()
			break
		}
	}
	clear(s.skipped)
	if s.contents.need(refs) {
		s.held = time.Time{}
		return true
	}
	now := time.Now()
	if s.held.IsZero() {
		s.held = now
	}
	if now.Sub(s.held) > s.pace.patience+s.pace.attempt {
		s.held = time.Time{}
		return true
	}
	return false
}

// changed notes what a build reads. The caller holds mu.
func (s *Source) changed() {
	s.current = nil
	s.signal()
}

// happened notes an event about an object. The caller holds mu.
func (s *Source) happened(key gwapi.Key, named, differs bool) {
	s.current = nil
	if !differs || !s.synced {
		return // The first Snapshot has what came before it.
	}
	if _, known := s.refs[key]; named && !known {
		if s.skipped[key] = struct{}{}; len(s.skipped) < s.room {
			return
		}
		clear(s.skipped) // The build that follows sees them all, whatever it names.
	}
	s.signal()
}

// signal leaves a note that covers every change until it is read.
func (s *Source) signal() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}

// Run follows the API server until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { s.contents.run(ctx) })
	defer running.Wait()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			next.Reset(s.look(ctx))
		}
	}
}

// look follows the kinds that have become available, finds out whether
// everything was read, and says when to look again.
func (s *Source) look(ctx context.Context) time.Duration {
	s.doubt(ctx)
	if !s.follow(ctx) {
		return s.pace.missing
	}
	bundles := s.trustBundles()
	if bundles.following == nil && bundles.denied && bundles.refusedOnce() {
		return s.pace.missing
	}
	for _, subject := range s.subjects {
		if subject.following != nil && !subject.following.HasSynced() {
			return s.pace.sync
		}
	}
	versions, known := s.readBundles(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteTrustBundles()
	if known && !sameBundles(s.bundles, versions) {
		s.bundles, s.current = versions, nil
		if s.synced {
			s.signal()
		}
	}
	if !s.synced {
		s.synced = true
		s.config.Log.Info("everything is read", "gateways", len(s.tables.gateways.byName),
			"httpRoutes", len(s.tables.httpRoutes.byName), "tlsPolicies", len(s.tables.policies.byName),
			"services", len(s.tables.services.byName))
		s.signal()
	}
	if !known || bundles.refusedOnce() {
		return s.pace.missing
	}
	return s.pace.recheck
}
