package election

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// The times of the Lease. A holder that could not renew for renewDeadline stops
// leading; others take the Lease leaseDuration after its last renewal. What was
// begun while leading has the difference, 5 s, to end.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// requestTimeout ends a request that got no answer, so that there is time
	// for two more within renewDeadline.
	requestTimeout = 3 * time.Second
)

// LeaseName is the name of the Lease, in the operator's namespace.
const LeaseName = "backendtls-operator"

// Config is what an Election is made of.
type Config struct {
	// Leases should have a rate limit of their own, or none, so that no other
	// request delays a renewal.
	Leases coordinationv1client.LeasesGetter
	// Namespace is the operator's own.
	Namespace string
	// Identity tells the replicas apart: the pod's name. A container that is
	// restarted in its pod takes its own Lease again without waiting.
	Identity string
	Log      *slog.Logger
}

// Election campaigns for the Lease.
type Election struct {
	config  Config
	lock    *lock
	changes chan struct{}
	// renewed wakes the watch over the time that is left.
	renewed     chan struct{}
	transitions atomic.Int64
}

// New makes an Election that does not campaign yet.
func New(config Config) (*Election, error) {
	if config.Identity == "" {
		return nil, errNoIdentity
	}
	e := &Election{config: config, changes: make(chan struct{}, 1), renewed: make(chan struct{}, 1)}
	e.lock = &lock{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: config.Namespace, Name: LeaseName},
			Client:     config.Leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: config.Identity},
		},
		changed: func() { signal(e.renewed) },
	}
	return e, nil
}

// Leading says whether the Lease is certainly ours now.
func (e *Election) Leading() bool { return e.lock.held() > 0 }

// Changes gets a token after Leading has changed, in either direction.
func (e *Election) Changes() <-chan struct{} { return e.changes }

// Transitions counts how often Leading has changed.
func (e *Election) Transitions() int64 { return e.transitions.Load() }

// Run campaigns until ctx ends, again after each loss, and then gives the Lease
// up if it is ours.
func (e *Election) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(e.config.Log.Handler()))
	watched := make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(watched); e.watch(done) }()
	defer func() {
		// Whether or not the Lease could be given up, this replica writes no more.
		e.lock.set(time.Time{})
		close(done)
		<-watched
	}()
	for ctx.Err() == nil {
		// An elector serves for one term.
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:            e.lock,
			LeaseDuration:   leaseDuration,
			RenewDeadline:   renewDeadline,
			RetryPeriod:     retryPeriod,
			ReleaseOnCancel: true,
			Name:            LeaseName,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) {},
				OnStoppedLeading: func() {},
				OnNewLeader: func(holder string) {
					e.config.Log.Info("the operator's lease has a holder", "holder", holder, "self", e.config.Identity)
				},
			},
		})
		if err != nil {
			return fmt.Errorf("leader election: %w", err)
		}
		elector.Run(ctx)
	}
	return nil
}

// watch tells about every change of Leading, also of the one that comes from
// nothing happening for too long, until done.
func (e *Election) watch(done <-chan struct{}) {
	leading := false
	expiry := time.NewTimer(0)
	defer expiry.Stop()
	for {
		select {
		case <-done:
			return
		case <-e.renewed:
		case <-expiry.C:
		}
		left := e.lock.held()
		if left > 0 {
			expiry.Reset(left)
		}
		if left > 0 == leading {
			continue
		}
		leading = left > 0
		e.transitions.Add(1)
		if leading {
			e.config.Log.Info("leading: this replica writes", "identity", e.config.Identity)
		} else {
			e.config.Log.Info("not leading any more: this replica only serves", "identity", e.config.Identity)
		}
		signal(e.changes)
	}
}

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // It will look at the newest anyway.
	}
}
