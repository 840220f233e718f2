package status_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/apitest"
	"github.com/backendtls/backendtls/operator/status"
	"github.com/backendtls/backendtls/operator/watch"
)

const stranger = "example.net/controller"

// shelf is a writer that runs against an API server.
type shelf struct {
	*status.Writer
	t       testing.TB
	server  *apitest.Server
	client  client.Client
	cache   cache.Cache
	leading atomic.Bool
	log     *lines
	metrics *prometheus.Registry
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *lines) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), words)
}

// open makes a writer on the server that does not run yet.
func open(t testing.TB, server *apitest.Server) *shelf {
	t.Helper()
	s := &shelf{
		t: t, server: server, client: server.Client(), log: &lines{}, metrics: prometheus.NewRegistry(),
	}
	live, err := watch.NewCache(server.Config(), slog.New(slog.NewTextHandler(s.log, nil)))
	if err != nil {
		t.Fatalf("cache: %v", err)
	}
	s.cache = live
	s.leading.Store(true)
	s.Writer = s.over(live)
	s.metrics.MustRegister(s.Collectors()...)
	return s
}

// over makes a writer that reads from the cache.
func (s *shelf) over(live cache.Cache) *status.Writer {
	s.t.Helper()
	direct, err := watch.NewReader(s.server.Config())
	if err != nil {
		s.t.Fatalf("client: %v", err)
	}
	return status.New(status.Config{
		Client: direct, Cache: live, Leading: s.leading.Load, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(s.log, nil)),
	})
}

// run starts cache and writer, which end with the test.
func (s *shelf) run() *shelf {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.cache.Start(ctx); err != nil {
			s.t.Errorf("cache: %v", err)
		}
	})
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			s.t.Errorf("writer: %v", err)
		}
	})
	s.t.Cleanup(func() { stop(); running.Wait() })
	return s
}

// writes are the accepted writes of this operator.
func (s *shelf) writes() []apitest.Request {
	var ours []apitest.Request
	for _, w := range s.server.Writes() {
		if w.FieldManager == status.FieldOwner {
			ours = append(ours, w)
		}
	}
	return ours
}

// metric is the value of a counter, summed over what result selects of it.
func (s *shelf) metric(name, result string) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatalf("metrics: %v", err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if result == "" || m.GetLabel()[0].GetValue() == result {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// await waits for a condition, a minute at the most.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// settled waits until the writer has looked at something and then, for a while,
// at nothing more.
func (s *shelf) settled() {
	s.t.Helper()
	looks := func() float64 {
		return s.metric("backendtls_status_unchanged_total", "") + s.metric("backendtls_status_writes_total", "")
	}
	last, since := looks(), time.Now()
	await(s.t, "the writer is at rest", func() bool {
		if now := looks(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 500*time.Millisecond
	})
}

// blind ends every watch, and lets none begin until see is called.
func (s *shelf) blind() (see func()) {
	remove := s.server.Hook(func(_ context.Context, r request) error {
		if r.Verb == "watch" || r.Verb == "list" {
			return apierrors.NewServiceUnavailable("later")
		}
		return nil
	})
	s.server.CutWatches()
	await(s.t, "nothing is watched", func() bool { return s.server.Watches("httproutes") == 0 })
	return remove
}

func condition(kind string, is metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: is, Reason: reason, Message: "because of " + reason, ObservedGeneration: 1,
		LastTransitionTime: metav1.NewTime(time.Now().Truncate(time.Second)),
	}
}

func gateway(name string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		Namespace: "default", Name: name,
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "backendtls"},
	}
}

func route(name string) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{Namespace: "default", Name: name}
}

func policy(name string) *gatewayv1.BackendTLSPolicy {
	return &gatewayv1.BackendTLSPolicy{Namespace: "default", Name: name}
}

func routeKey(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindHTTPRoute, "default", name) }
func policyKey(name string) gwapi.Key {
	return gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", name)
}
func gatewayKey(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindGateway, "default", name) }

func parent(controller, gateway string, conditions ...metav1.Condition) gatewayv1.RouteParentStatus {
	return gatewayv1.RouteParentStatus{
		ParentRef:      gatewayv1.ParentReference{Name: gatewayv1.ObjectName(gateway)},
		ControllerName: gatewayv1.GatewayController(controller), Conditions: conditions,
	}
}

func ancestor(controller, gateway string, conditions ...metav1.Condition) gatewayv1.PolicyAncestorStatus {
	return gatewayv1.PolicyAncestorStatus{
		AncestorRef:    gatewayv1.ParentReference{Name: gatewayv1.ObjectName(gateway)},
		ControllerName: gatewayv1.GatewayController(controller), Conditions: conditions,
	}
}

// routeReport says that the route is accepted by a Gateway, with that reason.
func routeReport(reason string) report.Report {
	return report.Report{Generation: 1, Parents: []gatewayv1.RouteParentStatus{
		parent(gwapi.ControllerName, "web", condition("Accepted", metav1.ConditionTrue, reason)),
	}}
}

func policyReport(is metav1.ConditionStatus, reason string) report.Report {
	return report.Report{Generation: 1, Ancestors: []gatewayv1.PolicyAncestorStatus{
		ancestor(gwapi.ControllerName, "web",
			condition("Accepted", metav1.ConditionTrue, "Accepted"), condition(report.PolicySecurityDegraded, is, reason)),
	}}
}

// routes stores so many routes, r0 and on, and reports on each.
func routes(server *apitest.Server, count int, reason string) report.Set {
	set := report.Set{}
	for i := range count {
		name := fmt.Sprintf("r%d", i)
		if server != nil {
			server.Put(route(name))
		}
		set[routeKey(name)] = routeReport(reason)
	}
	return set
}

// reasons are those of Accepted in a route's entries, by controller.
func (s *shelf) reasons(name string) map[string]string {
	s.t.Helper()
	live := route(name)
	if !s.server.Get(live) {
		return nil
	}
	found := map[string]string{}
	for _, p := range live.Status.Parents {
		if accepted := meta.FindStatusCondition(p.Conditions, "Accepted"); accepted != nil {
			found[string(p.ControllerName)] = accepted.Reason
		}
	}
	return found
}

// says waits until our entry in a route has that reason.
func (s *shelf) says(name, reason string) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("route %s says %s", name, reason), func() bool {
		return s.reasons(name)[gwapi.ControllerName] == reason
	})
}

// request is what a hook sees.
type request = apitest.Request

func newServerWith(t testing.TB, objects ...client.Object) *apitest.Server {
	t.Helper()
	server := apitest.New(t)
	server.Put(objects...)
	return server
}
