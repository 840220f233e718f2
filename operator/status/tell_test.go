package status_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/apitest"
	"github.com/backendtls/backendtls/operator/status"
	"github.com/backendtls/backendtls/operator/watch"
)

// news is what a writer has told.
type news struct {
	mu   sync.Mutex
	told []string
}

func (n *news) tell(policy metav1.Object, changes []report.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, change := range changes {
		n.told = append(n.told, policy.GetName()+" "+change.Reason)
	}
}

func (n *news) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.told)
}

// teller is a writer that tells, and whose writes have no answer while silent:
// they take place, and time out.
func teller(t *testing.T, server *apitest.Server, leads bool) (s *shelf, n *news, silent *atomic.Bool) {
	t.Helper()
	n, silent = &news{}, &atomic.Bool{}
	s = &shelf{t: t, server: server, client: server.Client(), log: &lines{}, metrics: prometheus.NewRegistry()}
	s.leading.Store(leads)
	log := slog.New(slog.NewTextHandler(s.log, nil))
	live, err := watch.NewCache(server.Config(), log)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := client.NewWithWatch(server.Config(), client.Options{Scheme: server.Client().Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	direct := interceptor.NewClient(plain, interceptor.Funcs{SubResourceUpdate: func(
		ctx context.Context, c client.Client, name string, object client.Object, options ...client.SubResourceUpdateOption,
	) error {
		err := c.SubResource(name).Update(ctx, object, options...)
		if err == nil && silent.Load() {
			return errors.New("context deadline exceeded while awaiting headers")
		}
		return err
	}})
	s.cache = live
	s.Writer = status.New(status.Config{
		Client: direct, Cache: live, Leading: s.leading.Load, Tell: n.tell, Now: time.Now, Log: log,
	})
	s.metrics.MustRegister(s.Collectors()...)
	return s, n, silent
}

func TestEachChangeIsToldOnceAndAfterItWasWritten(t *testing.T) {
	t.Parallel()
	server := newServerWith(t, policy("api"))
	s, n, silent := teller(t, server, true)
	s.run()
	steps := []struct {
		status metav1.ConditionStatus
		reason string
	}{
		{metav1.ConditionFalse, "Strict"},
		{metav1.ConditionTrue, "VerificationSkipped"},
		{metav1.ConditionTrue, "ExpiredCertificatesAllowed"},
		{metav1.ConditionTrue, "VerificationSkipped"},
		{metav1.ConditionFalse, "ModeExpired"},
	}
	var want []string
	for i, step := range steps {
		if i > 0 {
			want = append(want, "api "+step.reason)
		}
		// Every second write takes place and has no answer.
		silent.Store(i%2 == 0)
		s.Put(report.Set{policyKey("api"): policyReport(step.status, step.reason)})
		await(t, "it is told", func() bool { return slices.Equal(n.all(), want) })
		s.settled()
	}
	silent.Store(false)
	// Looking again, as whoever is elected does, is no news.
	s.Poke()
	s.settled()
	if got := n.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestWhoeverIsElectedDoesNotTellAgain(t *testing.T) {
	t.Parallel()
	server := newServerWith(t, policy("api"))
	first, told, _ := teller(t, server, true)
	second, again, _ := teller(t, server, false)
	first.run()
	second.run()
	set := report.Set{policyKey("api"): policyReport(metav1.ConditionTrue, "VerificationSkipped")}
	first.Put(set)
	second.Put(set)
	await(t, "it is told", func() bool { return len(told.all()) == 1 })
	first.leading.Store(false)
	second.leading.Store(true)
	second.Poke()
	second.settled()
	if got := again.all(); len(got) > 0 {
		t.Errorf("the second replica told %q", got)
	}
	second.Put(report.Set{policyKey("api"): policyReport(metav1.ConditionFalse, "Strict")})
	await(t, "the second tells what it changes", func() bool { return len(again.all()) == 1 })
	if got := told.all(); len(got) != 1 {
		t.Errorf("the first told %q", got)
	}
}
