package loop

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var (
	web   = gwapi.KeyOf(gwapi.KindGateway, "default", "web")
	other = gwapi.KeyOf(gwapi.KindGateway, "default", "other")
	api   = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api")
)

// neighbors are all the rooms around a loop; what they are told goes into
// calls, in order.
type neighbors struct {
	mu     sync.Mutex
	snap   *snapshot.Snapshot
	envoys map[gwapi.Key][]string
	// left are Envoys of before, that the fleet knows to be a Gateway's once it
	// was told of that.
	left    map[gwapi.Key][]string
	ledger  map[gwapi.Key][]model.Envoy
	unread  gwapi.Key
	calls   []string
	status  []report.Set
	changes chan struct{}
}

func (n *neighbors) say(words ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, strings.Join(words, " "))
}

func (n *neighbors) said() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	calls := n.calls
	n.calls = nil
	return calls
}

type (
	source    struct{ *neighbors }
	sink      struct{ *neighbors }
	fleet     struct{ *neighbors }
	publisher struct{ *neighbors }
	paths     struct{ *neighbors }
)

func (s source) Snapshot() *snapshot.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap
}
func (s source) Changes() <-chan struct{} { return s.changes }
func (s source) Need(refs map[gwapi.Key][]gwapi.Key) bool {
	_, wanted := refs[s.unread]
	return !wanted
}

func (s sink) Put(desired report.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = append(s.status, desired)
}

func (f fleet) Put(gateways map[gwapi.Key]model.Gateway) {
	var names []string
	for _, key := range slices.SortedFunc(maps.Keys(gateways), gwapi.CompareKeys) {
		name := key.Name
		if gateways[key].Unresolved {
			name += "(unresolved)"
		}
		names = append(names, name)
	}
	f.say("fleet", strings.Join(names, ","))
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range gateways {
		if left, some := f.left[key]; some {
			f.envoys[key] = left
		}
	}
}
func (f fleet) Changes() <-chan struct{}          { return nil }
func (f fleet) Addresses() map[gwapi.Key][]string { return nil }
func (f fleet) Faults() map[gwapi.Key]string      { return nil }
func (f fleet) Envoys() map[gwapi.Key][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.envoys
}

func (p publisher) Publish(gateway gwapi.Key, _ envoy.Resources, _ map[gwapi.Key]string) {
	p.say("publish", gateway.Name)
}

func (p publisher) Withdraw(gateway gwapi.Key, keep func(string) bool) {
	if keep("any") {
		p.say("keep", gateway.Name)
	}
	p.say("withdraw", gateway.Name)
}
func (p publisher) Forget(gateway gwapi.Key) { p.say("forget", gateway.Name) }
func (p publisher) Gone(gateway gwapi.Key, name string) {
	p.say("gone", gateway.Name, name)
	p.ledger[gateway] = slices.DeleteFunc(slices.Clone(p.ledger[gateway]), func(e model.Envoy) bool {
		return e.Name == name
	})
}
func (p publisher) Changes() <-chan struct{}              { return nil }
func (p publisher) Envoys() map[gwapi.Key][]model.Envoy   { return p.ledger }
func (p paths) Sync(gateway gwapi.Key, _ []model.Backend) { p.say("sync", gateway.Name) }
func (p paths) Forget(gateway gwapi.Key)                  { p.say("forget paths", gateway.Name) }

func newLoop(n *neighbors) *Loop {
	n.changes = make(chan struct{}, 1)
	return New(Config{
		Source: source{n}, Status: sink{n}, Fleet: fleet{n}, Publisher: publisher{n}, Endpoints: paths{n},
		Site: snapshot.Site{Standalone: true}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// gatewaysOf is a decide that answers with these Gateways, whatever the
// snapshot says.
func gatewaysOf(gateways ...model.Gateway) func(*snapshot.Snapshot) resolve.Result {
	return func(*snapshot.Snapshot) resolve.Result {
		result := resolve.Result{Gateways: map[gwapi.Key]model.Gateway{}, Reports: report.Set{}}
		for _, gateway := range gateways {
			result.Gateways[gateway.Key] = gateway
		}
		return result
	}
}

func expect(t *testing.T, n *neighbors, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, n.said()); diff != "" {
		t.Errorf("the rooms were told (-want +got):\n%s", diff)
	}
}

func TestNothingHappensBeforeTheObjectsAreRead(t *testing.T) {
	n := &neighbors{}
	newLoop(n).batch(time.Now())
	expect(t, n)
	if len(n.status) > 0 {
		t.Error("a status was written without objects")
	}
}

func TestEndpointsComeBeforeClustersAndOnlyChangesArePublished(t *testing.T) {
	n := &neighbors{snap: &snapshot.Snapshot{}}
	l := newLoop(n)
	l.decide = gatewaysOf(model.Gateway{Key: web, Digest: "1"})
	l.batch(time.Now())
	expect(t, n, "sync web", "publish web", "fleet web")
	l.batch(time.Now())
	expect(t, n, "fleet web")
	l.decide = gatewaysOf(model.Gateway{Key: web, Digest: "2"})
	l.batch(time.Now())
	expect(t, n, "sync web", "publish web", "fleet web")
	// The same configuration for another reason has to be acknowledged anew.
	l.decide = gatewaysOf(model.Gateway{Key: web, Digest: "2", Shares: map[gwapi.Key]string{api: "x"}})
	l.batch(time.Now())
	expect(t, n, "sync web", "publish web", "fleet web")
	l.decide = gatewaysOf()
	l.batch(time.Now())
	expect(t, n, "forget web", "forget paths web", "fleet ")
}

func TestWhatWasNotReadYetIsNotTakenForMissing(t *testing.T) {
	secret := gwapi.KeyOf(gwapi.KindSecret, "default", "web")
	n := &neighbors{snap: &snapshot.Snapshot{}, unread: secret}
	l := newLoop(n)
	deadline := time.Now().Add(time.Hour)
	l.decide = func(*snapshot.Snapshot) resolve.Result {
		result := gatewaysOf(model.Gateway{Key: web, Digest: "1"})(nil)
		result.Refs = map[gwapi.Key][]gwapi.Key{secret: {web}}
		result.NextDeadline = deadline
		return result
	}
	if next := l.batch(time.Now()); !next.Equal(deadline) {
		t.Errorf("the next deadline is %v, want %v", next, deadline)
	}
	expect(t, n)
	if len(n.status) > 0 {
		t.Error("a status was written about objects that were not read")
	}
	n.unread = gwapi.Key{}
	l.batch(time.Now())
	expect(t, n, "sync web", "publish web", "fleet web")
}

func TestTheLogSaysOnceWhereAGatewayIsServed(t *testing.T) {
	n := &neighbors{snap: &snapshot.Snapshot{}}
	l := newLoop(n)
	var log bytes.Buffer
	l.Log = slog.New(slog.NewTextHandler(&log, nil))
	l.translate = func(model.Gateway) (envoy.Resources, []envoy.Fault) { return envoy.Resources{}, nil }
	says := func(want ...string) {
		t.Helper()
		l.batch(time.Now())
		l.batch(time.Now())
		said := strings.Split(strings.TrimSpace(log.String()), "\n")
		log.Reset()
		if len(said) != 1 {
			t.Fatalf("the log has %d lines, want one: %q", len(said), said)
		}
		for _, words := range want {
			if !strings.Contains(said[0], words) {
				t.Errorf("the log says %q, want %q", said[0], words)
			}
		}
	}
	l.decide = gatewaysOf()
	says("nothing to serve", gwapi.ControllerName)
	gateway := model.Gateway{Key: web, Digest: "1", Address: "127.0.0.9", Listeners: []model.Listener{
		{Protocol: model.HTTP, Port: 10080}, {Protocol: model.HTTPS, Port: 8443},
	}}
	l.decide = gatewaysOf(gateway)
	says(web.String(), "http://127.0.0.9:10080", "https://127.0.0.9:8443")
	gateway.Listeners = gateway.Listeners[:1]
	l.decide = gatewaysOf(gateway)
	says("http://127.0.0.9:10080")
	gateway.Listeners = nil
	l.decide = gatewaysOf(gateway)
	says("no listener")
	l.decide = gatewaysOf()
	says("nothing to serve")
}

func TestWhoIsGoneIsDroppedFromTheLedgerAndWhoIsNewIsExpected(t *testing.T) {
	n := &neighbors{
		snap:   &snapshot.Snapshot{},
		envoys: map[gwapi.Key][]string{web: {"envoy-2", "envoy-3"}},
		ledger: map[gwapi.Key][]model.Envoy{
			web:   {{Name: "envoy-1"}, {Name: "envoy-2", Connected: true}},
			other: {{Name: "envoy-4"}},
		},
	}
	l := newLoop(n)
	var observed snapshot.Observed
	l.decide = func(snap *snapshot.Snapshot) resolve.Result {
		observed = snap.Observed
		return resolve.Result{}
	}
	l.batch(time.Now())
	want := map[gwapi.Key][]model.Envoy{web: {{Name: "envoy-2", Connected: true}, {Name: "envoy-3"}}}
	if diff := cmp.Diff(want, observed.Envoys); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	expect(t, n, "gone web envoy-1", "gone other envoy-4", "fleet ")
}

func TestTheFirstStatusKnowsOfEnvoysOfBefore(t *testing.T) {
	n := &neighbors{
		snap: &snapshot.Snapshot{}, envoys: map[gwapi.Key][]string{},
		left: map[gwapi.Key][]string{web: {"envoy-1"}},
	}
	l := newLoop(n)
	var told []string
	decide := gatewaysOf(model.Gateway{Key: web})
	l.decide = func(snap *snapshot.Snapshot) resolve.Result {
		told = nil
		for _, e := range snap.Observed.Envoys[web] {
			told = append(told, e.Name)
		}
		return decide(snap)
	}
	l.batch(time.Now())
	if !slices.Equal(told, []string{"envoy-1"}) || len(n.status) != 1 {
		t.Errorf("the first of %d statuses knows of %v", len(n.status), told)
	}
}

func TestWhatCannotBeTranslatedIsTold(t *testing.T) {
	n := &neighbors{snap: &snapshot.Snapshot{}, envoys: map[gwapi.Key][]string{web: {"envoy-1"}}}
	l := newLoop(n)
	l.translate = func(model.Gateway) (envoy.Resources, []envoy.Fault) {
		return envoy.Resources{}, []envoy.Fault{{Object: api, Resource: "cluster", Message: "too odd"}}
	}
	var seen []snapshot.Observed
	l.decide = func(snap *snapshot.Snapshot) resolve.Result {
		seen = append(seen, snap.Observed)
		return gatewaysOf(model.Gateway{Key: web, Digest: "1"})(snap)
	}
	l.batch(time.Now())
	if len(seen) != 2 {
		t.Fatalf("decided %d times, want again once the fault was known", len(seen))
	}
	want := []model.Rejection{{Type: "Cluster", Name: "cluster", Message: "not sent to Envoy: too odd"}}
	if diff := cmp.Diff(want, seen[1].Envoys[web][0].Rejections); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
	if !strings.Contains(seen[1].Untranslatable[web], "too odd") {
		t.Errorf("untranslatable is %q", seen[1].Untranslatable)
	}
}

func TestAGatewayThatCannotBeDecidedLosesItsClustersAlone(t *testing.T) {
	gateway := func(name string) *gatewayv1.Gateway {
		return &gatewayv1.Gateway{Namespace: "default", Name: name}
	}
	n := &neighbors{snap: &snapshot.Snapshot{Gateways: snapshot.NewObjects(gateway("web"), gateway("other"))}}
	l := newLoop(n)
	l.decide = gatewaysOf(model.Gateway{Key: web, Digest: "1"}, model.Gateway{Key: other, Digest: "1"})
	l.batch(time.Now())
	n.said()
	statuses := len(n.status)
	l.decide = func(snap *snapshot.Snapshot) resolve.Result {
		if _, crafted := snap.Gateways.Get(web.NamespacedName()); crafted {
			panic("crafted")
		}
		return gatewaysOf(model.Gateway{Key: other, Digest: "2"})(snap)
	}
	l.batch(time.Now())
	expect(t, n, "withdraw web", "sync other", "publish other", "fleet other,web(unresolved)")
	if len(n.status) != statuses {
		t.Error("statuses were written from half a decision")
	}
	// It is published again, though its model is what it was before.
	l.decide = gatewaysOf(model.Gateway{Key: web, Digest: "1"}, model.Gateway{Key: other, Digest: "2"})
	l.batch(time.Now())
	expect(t, n, "sync web", "publish web", "fleet other,web")
}

func TestADeadlineIsActedUponWithoutAnyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &neighbors{snap: &snapshot.Snapshot{}}
		l := newLoop(n)
		start := time.Now()
		deadline := start.Add(90 * time.Second)
		var decided []time.Duration
		l.decide = func(snap *snapshot.Snapshot) resolve.Result {
			decided = append(decided, snap.Now.Sub(start))
			if snap.Now.Before(deadline) {
				return resolve.Result{NextDeadline: deadline}
			}
			return resolve.Result{}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		n.changes <- struct{}{}
		time.Sleep(100 * time.Second)
		stop()
		<-done
		late := slices.ContainsFunc(decided, func(d time.Duration) bool {
			return d >= 90*time.Second && d < 90*time.Second+200*time.Millisecond
		})
		if !late {
			t.Errorf("decided after %v, want once at the deadline of 90 s", decided)
		}
		if between := len(decided); between > 4 {
			t.Errorf("decided %d times in 100 s in which nothing happened but a deadline", between)
		}
	})
}

func TestChangesInABurstAreOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &neighbors{snap: &snapshot.Snapshot{}}
		l := newLoop(n)
		decided := 0
		l.decide = func(*snapshot.Snapshot) resolve.Result { decided++; return resolve.Result{} }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		for range 100 {
			select {
			case n.changes <- struct{}{}:
			default:
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second / 2)
		stop()
		<-done
		if decided > 5 {
			t.Errorf("decided %d times for changes within 100 ms, want a batch each 50 ms", decided)
		}
	})
}
