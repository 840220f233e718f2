package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// The audiences of the tokens that callers must have. A token for the API
// server is worth nothing here, and one of these is worth nothing there.
const (
	xdsAudience    = "backendtls-xds"
	ledgerAudience = "backendtls-ledger"
)

// Cluster is the configuration of an operator in a Kubernetes cluster.
type Cluster struct {
	// REST reaches the API server with the rights of the operator.
	REST *rest.Config
	// Namespace, PodName and PodIP are this replica's.
	Namespace, PodName, PodIP string
	// XDSAddress and LedgerAddress are listened on with TLS, HealthAddress and
	// MetricsAddress without; PprofAddress must be loopback, "" for none.
	XDSAddress, LedgerAddress, HealthAddress, MetricsAddress, PprofAddress string
	// LedgerToken is the file of this replica's token for the other replicas.
	LedgerToken string
	// TrustFirst and TrustAfter are the bounds of the steps in which the CA of xDS
	// is replaced; 0 for those of package authority.
	TrustFirst, TrustAfter time.Duration
	// ProbeConcurrency is how many endpoints are asked for their certificates at a
	// time, ProbeRate how many a second begin to be, and ProbeTimeout bounds each;
	// 0 for those of package probe.
	ProbeConcurrency int
	ProbeRate        float64
	ProbeTimeout     time.Duration
	Log              *slog.Logger
}

// What the manifests call the operator. Its Service's name is in the bootstrap
// of every Envoy, so it is fixed.
const (
	serviceAccount = "backendtls-operator"
	nameLabel      = "app.kubernetes.io/name"
	operatorName   = "backendtls-operator"
	xdsService     = "backendtls-xds"
)

// Run reads the cluster and serves Envoys until ctx ends. An error means that
// it could not start, or that a part of it ended.
func (c Cluster) Run(ctx context.Context) error {
	klog.SetSlogLogger(c.Log)
	ctrllog.SetLogger(logr.FromSlogHandler(c.Log.Handler()))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r, err := c.rooms(ctx)
	if err != nil {
		return err
	}
	defer r.server.Stop()
	var all sync.WaitGroup
	errs := make(chan error, len(r.parts()))
	for name, run := range r.parts() {
		all.Go(func() {
			defer stop()
			if err := run(ctx); err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	c.Log.Info("starting", "namespace", c.Namespace, "pod", c.PodName)
	all.Wait()
	close(errs)
	var joined error
	for err := range errs {
		joined = errors.Join(joined, err)
	}
	return joined
}
