package election

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/backendtls/backendtls/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// registry is the API server's part: one Lease.
type registry struct {
	mu      sync.Mutex
	lease   *coordinationv1.Lease
	version int
	// written is when it was last written.
	written time.Time
}

// wire is one replica's way to the registry.
type wire struct {
	coordinationv1client.LeaseInterface
	*registry
	mu sync.Mutex
	// away refuses; lost answers nothing, and what was asked for happens.
	away, lost bool
	// lag is how long a request and its answer take, each.
	lag func() time.Duration
}

func (w *wire) Leases(string) coordinationv1client.LeaseInterface { return w }

func (w *wire) set(away, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away, w.lost = away, lost
}

// carry takes a request to the registry and the answer back.
func carry(ctx context.Context, w *wire, do func() (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	w.mu.Lock()
	away, lost, lag := w.away, w.lost, w.lag
	w.mu.Unlock()
	if away {
		return nil, errors.New("connection refused")
	}
	if err := pass(ctx, lag); err != nil {
		return nil, err
	}
	w.registry.mu.Lock()
	lease, err := do()
	w.registry.mu.Unlock()
	if lost {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if late := pass(ctx, lag); late != nil {
		return nil, late
	}
	return lease, err
}

func pass(ctx context.Context, lag func() time.Duration) error {
	if lag == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lag()):
		return nil
	}
}

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (w *wire) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	return carry(ctx, w, func() (*coordinationv1.Lease, error) {
		if w.lease == nil {
			return nil, apierrors.NewNotFound(leases, name)
		}
		return w.lease.DeepCopy(), nil
	})
}

func (w *wire) Create(
	ctx context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions,
) (*coordinationv1.Lease, error) {
	return carry(ctx, w, func() (*coordinationv1.Lease, error) {
		if w.lease != nil {
			return nil, apierrors.NewAlreadyExists(leases, lease.Name)
		}
		return w.store(lease), nil
	})
}

func (w *wire) Update(
	ctx context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions,
) (*coordinationv1.Lease, error) {
	return carry(ctx, w, func() (*coordinationv1.Lease, error) {
		if w.lease == nil {
			return nil, apierrors.NewNotFound(leases, lease.Name)
		}
		if w.lease.ResourceVersion != lease.ResourceVersion {
			return nil, apierrors.NewConflict(leases, lease.Name, errors.New("modified"))
		}
		return w.store(lease), nil
	})
}

func (r *registry) store(lease *coordinationv1.Lease) *coordinationv1.Lease {
	r.version++
	r.written = time.Now()
	r.lease = lease.DeepCopy()
	r.lease.ResourceVersion = strconv.Itoa(r.version)
	return r.lease.DeepCopy()
}

// holder is who the Lease names, "" for nobody.
func (r *registry) holder() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lease == nil || r.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *r.lease.Spec.HolderIdentity
}

// replica is one that campaigns.
type replica struct {
	*Election
	*wire
	// stop ends it, and returns once it has.
	stop func()
}

func start(t *testing.T, r *registry, identity string) *replica {
	t.Helper()
	w := &wire{registry: r}
	e, err := New(Config{
		Leases: w, Namespace: "backendtls-system", Identity: identity,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("%s: %v", identity, err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &replica{Election: e, wire: w, stop: stop}
}

// over lets time pass in small steps, and says how long each replica led. That
// two lead at once fails the test, and that one leads on what was written too
// long ago.
func over(t *testing.T, span time.Duration, replicas ...*replica) map[*replica]time.Duration {
	t.Helper()
	const step = 50 * time.Millisecond
	led := map[*replica]time.Duration{}
	for began := time.Now(); time.Since(began) < span; time.Sleep(step) {
		var leaders []*replica
		for _, r := range replicas {
			if r.Leading() {
				leaders = append(leaders, r)
				led[r] += step
				r.registry.mu.Lock()
				if since := time.Since(r.written); since > renewDeadline {
					t.Errorf("one leads %v after the lease was last written", since)
				}
				r.registry.mu.Unlock()
			}
		}
		if len(leaders) > 1 {
			t.Fatalf("%d replicas lead at once, %v after the start", len(leaders), time.Since(began))
		}
	}
	return led
}

func (r *replica) told() bool {
	select {
	case <-r.Changes():
		return true
	default:
		return false
	}
}

func TestOneOfTwoReplicasLeadsAndGoesOnLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one, two := start(t, r, "one"), start(t, r, "two")
		synctest.Wait()
		first, second := one, two
		if two.Leading() {
			first, second = two, one
		}
		if !first.Leading() || second.Leading() || !first.told() || second.told() {
			t.Fatal("not exactly one leads at once, and is told")
		}
		led := over(t, 10*time.Minute, one, two)
		if led[first] < 10*time.Minute-time.Second || first.told() || first.Transitions() != 1 {
			t.Errorf("the first led for %v of ten minutes", led[first])
		}
		first.stop()
		second.stop()
	})
}

func TestALeaderThatStopsGivesTheLeaseUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one := start(t, r, "one")
		synctest.Wait()
		two := start(t, r, "two")
		over(t, 20*time.Second, one, two)
		one.stop()
		if one.Leading() || r.holder() != "" || !one.told() {
			t.Errorf("after its end: leading %v, lease held by %q", one.Leading(), r.holder())
		}
		over(t, 5*time.Second, one, two)
		if !two.Leading() {
			t.Error("the other does not lead within five seconds")
		}
		two.stop()
	})
}

func TestALeaderWithoutAnAPIServerStopsLeadingAndCampaignsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one := start(t, r, "one")
		synctest.Wait()
		two := start(t, r, "two")
		over(t, time.Minute, one, two)
		one.told()
		one.set(true, false)
		// A renewal may have been on its way just then.
		led := over(t, 10*time.Second+100*time.Millisecond, one, two)
		if one.Leading() || !one.told() {
			t.Errorf("it leads %v after the API server went, and was told %v", led[one], one.told())
		}
		if led[one] < 7*time.Second {
			t.Errorf("it led on for %v only, though it had the lease", led[one])
		}
		over(t, 15*time.Second, one, two)
		if !two.Leading() {
			t.Error("the other does not lead after 25 s")
		}
		one.set(false, false)
		over(t, time.Minute, one, two)
		if r.holder() != "two" {
			t.Errorf("the lease is held by %q, but two never lost it", r.holder())
		}
		two.stop()
		over(t, 5*time.Second, one, two)
		if !one.Leading() {
			t.Error("the first does not lead again")
		}
		one.stop()
	})
}

func TestARenewalWithoutAnAnswerDoesNotProlongLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one := start(t, r, "one")
		synctest.Wait()
		two := start(t, r, "two")
		over(t, time.Minute, one, two)
		// Its requests arrive and their answers do not.
		one.set(false, true)
		over(t, 2*time.Minute, one, two)
		if one.Leading() {
			t.Error("it leads, though it never heard that it may")
		}
		one.set(false, false)
		over(t, time.Minute, one, two)
		one.stop()
		two.stop()
	})
}

func TestTheTimeCountsFromTheBeginningOfARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one := start(t, r, "one")
		synctest.Wait()
		answers := 0
		one.wire.mu.Lock()
		one.lag = func() time.Duration {
			answers++
			return []time.Duration{0, 3900 * time.Millisecond}[(answers+1)%2]
		}
		one.wire.mu.Unlock()
		over(t, time.Minute, one)
		one.set(true, false)
		over(t, time.Minute, one)
		one.stop()
	})
}

func TestAClockThatIsPutBackProlongsNothing(t *testing.T) {
	now := time.Now()
	if got := ahead(now.Add(time.Hour).Round(0)).Sub(now); got > renewDeadline+time.Second {
		t.Errorf("a renewal by a clock that was an hour ahead counts for %s", got)
	}
	until := ahead(now.Add(5 * time.Second).Round(0))
	if left := until.Sub(now).Round(time.Second); left != 5*time.Second {
		t.Errorf("%s are left, want 5s", left)
	}
	if until == until.Round(0) {
		t.Error("the time is one of the wall clock, which may be put back")
	}
}

func TestALeaseThatSomebodyTookIsNotUsedNorGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one := start(t, r, "one")
		over(t, time.Minute, one)
		r.mu.Lock()
		r.lease.Spec.HolderIdentity = new("somebody")
		r.store(r.lease)
		r.mu.Unlock()
		over(t, 3*time.Second, one)
		if one.Leading() {
			t.Error("it leads three seconds after somebody took the lease")
		}
		one.stop()
		if r.holder() != "somebody" {
			t.Errorf("the lease is held by %q", r.holder())
		}
	})
}

func TestAContainerThatStartsAgainTakesItsOwnLeaseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		one := start(t, r, "one")
		over(t, time.Minute, one)
		one.set(true, false) // As if it had been killed.
		again := start(t, r, "one")
		synctest.Wait()
		if !again.Leading() {
			t.Error("it waits for its own lease to expire")
		}
		one.stop()
		again.stop()
	})
}

func TestACandidateWithoutIdentityIsRefused(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("it is not refused")
	}
}

// Whatever happens to the requests of three replicas, no two lead at once.
func TestNoTwoLeadAtOnceOnABadNetwork(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chance := rand.New(rand.NewPCG(seed, seed))
				var mu sync.Mutex
				draw := func(most int64) int64 {
					mu.Lock()
					defer mu.Unlock()
					return chance.Int64N(most)
				}
				r := &registry{}
				replicas := make([]*replica, 3)
				for i := range replicas {
					replicas[i] = start(t, r, fmt.Sprint(i))
					replicas[i].wire.mu.Lock()
					replicas[i].lag = func() time.Duration {
						if draw(4) == 0 {
							return time.Duration(draw(int64(6 * time.Second)))
						}
						return time.Duration(draw(int64(20 * time.Millisecond)))
					}
					replicas[i].wire.mu.Unlock()
				}
				led := map[*replica]time.Duration{}
				for range 60 {
					replicas[draw(3)].set(draw(3) == 0, draw(4) == 0)
					for r, span := range over(t, time.Duration(draw(int64(30*time.Second))), replicas...) {
						led[r] += span
					}
				}
				if len(led) == 0 {
					t.Error("nobody ever led")
				}
				for _, r := range replicas {
					r.stop()
				}
			})
		})
	}
}
