package operator

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/authn"
	"github.com/backendtls/backendtls/operator/authority"
	"github.com/backendtls/backendtls/operator/election"
	"github.com/backendtls/backendtls/operator/endpoints"
	"github.com/backendtls/backendtls/operator/events"
	"github.com/backendtls/backendtls/operator/fleet"
	"github.com/backendtls/backendtls/operator/health"
	"github.com/backendtls/backendtls/operator/ledger"
	"github.com/backendtls/backendtls/operator/loop"
	"github.com/backendtls/backendtls/operator/metrics"
	"github.com/backendtls/backendtls/operator/probe"
	"github.com/backendtls/backendtls/operator/status"
	"github.com/backendtls/backendtls/operator/watch"
	"github.com/backendtls/backendtls/operator/xds"
)

// rooms are the parts of an operator in a cluster.
type rooms struct {
	Cluster

	cache     cache.Cache
	election  *election.Election
	authority *authority.Authority
	source    *watch.Source
	fleet     *fleet.Fleet
	server    *xds.Server
	ledger    *ledger.Ledger
	status    *status.Writer
	probe     *probe.Prober
	events    *events.Recorder
	witness   *metrics.Witness
	streams   *metrics.Streams
	dials     *metrics.Dials
	loop      *loop.Loop
	health    *health.Server

	// decided is closed after the first whole build.
	decided gate
	serving atomic.Bool
}

// rooms makes every part and tells it of the others. Nothing runs yet.
func (c Cluster) rooms(ctx context.Context) (*rooms, error) {
	r := &rooms{Cluster: c, decided: gate{open: make(chan struct{})}}
	// No client limits itself: what writes much has a limit of its own, and the
	// renewal of the lease must not wait for anything else.
	unlimited := rest.CopyConfig(c.REST)
	unlimited.QPS = -1
	clients, err := kubernetes.NewForConfig(unlimited)
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	direct, err := watch.NewReader(c.REST)
	if err != nil {
		return nil, err
	}
	image, err := c.ownImage(ctx, clients.CoreV1().Pods(c.Namespace))
	if err != nil {
		return nil, err
	}
	if r.election, err = election.New(election.Config{
		Leases: clients.CoordinationV1(), Namespace: c.Namespace, Identity: c.PodName, Log: c.Log,
	}); err != nil {
		return nil, err
	}
	if r.authority, err = authority.Open(ctx, authority.Config{
		Client: direct, Namespace: c.Namespace, Leading: r.election.Leading, Log: c.Log, Now: time.Now,
		ServerNames: []string{xdsService + "." + c.Namespace + ".svc"},
		TrustFirst:  c.TrustFirst, TrustAfter: c.TrustAfter,
	}); err != nil {
		return nil, err
	}
	if r.cache, err = watch.NewCache(c.REST, c.Log); err != nil {
		return nil, err
	}
	r.fleet = fleet.New(fleet.Config{
		Client: direct, Cache: r.cache, Authority: r.authority.Bundle, Leading: r.election.Leading,
		OperatorNamespace: c.Namespace, OperatorImage: image, Log: c.Log,
	})
	r.witness = metrics.New(metrics.Config{
		Leading: r.election.Leading, Now: time.Now,
		Probed: func() map[model.ProbeKey]model.Probed { return r.probe.Probed() },
	})
	r.dials = metrics.NewDials()
	r.streams = metrics.NewStreams(
		func() map[gwapi.Key][]model.Envoy { return r.server.Envoys() },
		func() time.Time { return lastEnd(r.authority.Bundle()) },
	)
	if err := r.identify(ctx, clients); err != nil {
		return nil, err
	}
	r.events = events.New(events.Config{Client: clients.EventsV1(), Instance: c.PodName, Log: c.Log, Now: time.Now})
	r.decide(direct, clients.CoreV1())
	r.health, err = health.New(ctx, health.Config{
		Health: c.HealthAddress, Metrics: c.MetricsAddress, Profiles: c.PprofAddress,
		Checks: r.checks(), Registry: ctrlmetrics.Registry, Collectors: r.collectors(), Log: c.Log,
	})
	return r, err
}

// identify makes the two servers that others talk to, and says who they are.
func (r *rooms) identify(ctx context.Context, clients kubernetes.Interface) error {
	reviews := clients.AuthenticationV1().TokenReviews()
	envoys, err := authn.New(authn.Config{
		Reviewer: reviews, Lookup: r.fleet.Lookup, Known: r.fleet.Known, Audience: xdsAudience, Log: r.Log,
	})
	if err != nil {
		return err
	}
	replicas, err := authn.New(authn.Config{Reviewer: reviews, Audience: ledgerAudience, Log: r.Log})
	if err != nil {
		return err
	}
	if r.server, err = xds.New(xds.Config{
		Authenticator: countedPeers{envoyPods{envoys}, r.streams}, Credentials: credentials.NewTLS(r.authority.TLSConfig()),
		Log: r.Log, Now: time.Now,
	}); err != nil {
		return fmt.Errorf("xds server: %w", err)
	}
	peers, err := ledger.NewPods(ctx, ledger.PodsConfig{
		Cache: r.cache, Namespace: r.Namespace, ServiceAccount: serviceAccount,
		Labels: map[string]string{nameLabel: operatorName},
	})
	if err != nil {
		return err
	}
	port, err := portOf(r.LedgerAddress)
	if err != nil {
		return fmt.Errorf("ledger address: %w", err)
	}
	r.ledger, err = ledger.New(ledger.Config{
		Local: r.server, Peers: peers, Authenticator: operatorPods{replicas},
		Namespace: r.Namespace, ServiceAccount: serviceAccount, Self: r.PodName, Port: port,
		ServerTLS: r.authority.TLSConfig(), ClientTLS: r.authority.ClientConfig, TokenFile: r.LedgerToken, Log: r.Log,
	})
	return err
}

// decide makes what turns objects into configuration and status.
func (r *rooms) decide(direct client.Client, pods corev1client.PodsGetter) {
	var site snapshot.Site
	paths := endpoints.New(site, r.server)
	r.probe = probe.New(probe.Config{
		Leading: r.election.Leading, Pod: podReader{pods}.read, Refused: addressOf(r.REST), Dial: r.dials.Dial,
		Concurrency: r.ProbeConcurrency, Rate: r.ProbeRate, Timeout: r.ProbeTimeout, Log: r.Log,
	})
	r.source = watch.New(watch.Config{Cache: r.cache, Client: direct, Log: r.Log, Endpoints: sliceSinks{paths, r.probe}})
	r.status = status.New(status.Config{
		Client: direct, Cache: r.cache, Leading: r.election.Leading, Tell: r.events.Tell, Log: r.Log, Now: time.Now,
	})
	r.loop = loop.New(loop.Config{
		Source: r.source, Status: firstSink{r.status, &r.decided}, Fleet: r.fleet,
		Publisher: countedPublisher{shared{publisher{r.server}, r.ledger}, r.streams}, Endpoints: paths,
		Checks: r.probe, Witness: r.witness, Site: site, Log: r.Log,
	})
}
