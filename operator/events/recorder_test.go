package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/events"
)

var (
	web      = gwapi.KeyOf(gwapi.KindGateway, "edge", "web")
	resource = schema.GroupResource{Group: "events.k8s.io", Resource: "events"}
)

// server takes Events as an API server does: a name once.
type server struct {
	eventsv1client.EventInterface

	mu     sync.Mutex
	tries  int
	answer func(try int) error
	stored map[string]*eventsv1.Event
}

func (s *server) Events(string) eventsv1client.EventInterface { return s }

func (s *server) Create(_ context.Context, event *eventsv1.Event, _ metav1.CreateOptions) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.answer != nil {
		if err := s.answer(s.tries); err != nil {
			return nil, err
		}
	}
	if _, exists := s.stored[event.Name]; exists {
		return nil, apierrors.NewAlreadyExists(resource, event.Name)
	}
	if s.stored == nil {
		s.stored = map[string]*eventsv1.Event{}
	}
	s.stored[event.Name] = event
	return event, nil
}

func (s *server) events() []*eventsv1.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*eventsv1.Event
	for _, event := range s.stored {
		all = append(all, event)
	}
	return all
}

// record runs a Recorder while do runs, and returns its log.
func record(t *testing.T, s *server, do func(r *events.Recorder)) (log string, r *events.Recorder) {
	t.Helper()
	var text bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		r = events.New(events.Config{
			Client: s, Instance: "operator-1", Now: time.Now, Log: slog.New(slog.NewJSONHandler(&text, nil)),
		})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		do(r)
		time.Sleep(time.Minute) // The bubble's: until nothing is left to do.
		stop()
		running.Wait()
	})
	return text.String(), r
}

func policy(version string) *gatewayv1.BackendTLSPolicy {
	object := &gatewayv1.BackendTLSPolicy{}
	object.Namespace, object.Name, object.UID, object.ResourceVersion = "shop", "api", "0000-api", version
	return object
}

func skipped() report.Change {
	return report.Change{
		Gateway: web, Condition: report.PolicySecurityDegraded, Status: metav1.ConditionTrue,
		Was: metav1.ConditionFalse, Reason: "VerificationSkipped", WasReason: "Strict",
		Message: `no certificate is verified; reason: "renewal"`, Bad: true,
	}
}

func TestAnEventSaysWhatChangedWhereAndWhy(t *testing.T) {
	var s server
	_, r := record(t, &s, func(r *events.Recorder) { r.Tell(policy("7"), []report.Change{skipped()}) })
	all := s.events()
	if len(all) != 1 {
		t.Fatalf("%d Events, want one", len(all))
	}
	event := all[0]
	if event.Type != "Warning" || event.Reason != "VerificationSkipped" || event.Namespace != "shop" ||
		event.Regarding.Kind != "BackendTLSPolicy" || event.Regarding.UID != "0000-api" ||
		event.Related == nil || event.Related.Kind != "Gateway" || event.Related.Name != "web" ||
		event.ReportingController != "backendtls.dev/gateway-controller" || event.ReportingInstance != "operator-1" ||
		event.Action == "" || event.EventTime.IsZero() {
		t.Errorf("got %+v", event)
	}
	want := `SecurityDegraded is True on gateway/edge/web (was Strict): no certificate is verified; reason: "renewal"`
	if event.Note != want {
		t.Errorf("note %q, want %q", event.Note, want)
	}
	if faults := validation.IsDNS1123Subdomain(event.Name); len(faults) > 0 {
		t.Errorf("name %q: %v", event.Name, faults)
	}
	if written, dropped := counted(t, r); written != 1 || dropped != 0 {
		t.Errorf("%v written, %v dropped", written, dropped)
	}
}

// counted is what the metrics of a Recorder say.
func counted(t *testing.T, r *events.Recorder) (written, dropped float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if metric.GetLabel()[0].GetValue() == "dropped" {
				dropped += metric.GetCounter().GetValue()
			} else {
				written += metric.GetCounter().GetValue()
			}
		}
	}
	return written, dropped
}

func TestAnEventIsWrittenOnce(t *testing.T) {
	var s server
	record(t, &s, func(r *events.Recorder) {
		// The same change, as told by an attempt that got no answer and its repetition.
		r.Tell(policy("7"), []report.Change{skipped()})
		r.Tell(policy("7"), []report.Change{skipped()})
		// Another one of the same kind, a version later.
		r.Tell(policy("9"), []report.Change{skipped()})
	})
	if got := len(s.events()); got != 2 {
		t.Errorf("%d Events, want 2", got)
	}
}

func TestAnEventIsTriedAgainUnlessThatIsInVain(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(try int) error
		tries  int
		stored int
	}{
		"a passing fault": {func(try int) error {
			if try < 3 {
				return apierrors.NewServiceUnavailable("busy")
			}
			return nil
		}, 3, 1},
		"a fault that stays":       {func(int) error { return errors.New("connection refused") }, 4, 0},
		"a right that is missing":  {func(int) error { return apierrors.NewForbidden(resource, "x", nil) }, 1, 0},
		"a namespace that is gone": {func(int) error { return apierrors.NewNotFound(resource, "x") }, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := server{answer: c.answer}
			log, _ := record(t, &s, func(r *events.Recorder) { r.Tell(policy("7"), []report.Change{skipped()}) })
			if s.tries != c.tries || len(s.events()) != c.stored {
				t.Errorf("%d tries and %d Events, want %d and %d", s.tries, len(s.events()), c.tries, c.stored)
			}
			if said := strings.Contains(log, `"object":"backendtlspolicy/shop/api"`); said != (c.stored == 0) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestWhatGoesWithItsNamespaceIsNotMissed(t *testing.T) {
	going := apierrors.NewForbidden(resource, "x", errors.New("being terminated"))
	going.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	s := server{answer: func(int) error { return going }}
	log, r := record(t, &s, func(r *events.Recorder) { r.Tell(policy("7"), []report.Change{skipped()}) })
	if written, dropped := counted(t, r); written != 0 || dropped != 0 || s.tries != 1 || log != "" {
		t.Errorf("%v written, %v dropped after %d tries: %s", written, dropped, s.tries, log)
	}
}

func TestTellingNeverWaits(t *testing.T) {
	var s server
	r := events.New(events.Config{Client: &s, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	for range 2000 { // Nobody runs it.
		r.Tell(policy("7"), []report.Change{skipped()})
	}
	if _, dropped := counted(t, r); dropped != 2000-1024 {
		t.Errorf("%v are counted as dropped", dropped)
	}
}

func TestAFloodOfOneNamespaceCostsOthersNothing(t *testing.T) {
	var s server
	var took time.Duration
	_, r := record(t, &s, func(r *events.Recorder) {
		for i := range 5000 {
			r.Tell(policy(strconv.Itoa(i)), []report.Change{skipped()})
		}
		began := time.Now()
		other := policy("7")
		other.Namespace, other.UID = "bank", "0000-bank"
		r.Tell(other, []report.Change{skipped()})
		for !slices.ContainsFunc(s.events(), func(e *eventsv1.Event) bool { return e.Namespace == "bank" }) {
			if took = time.Since(began); took > time.Minute {
				return
			}
			time.Sleep(time.Millisecond) // The bubble's.
		}
	})
	if took > time.Second {
		t.Errorf("the other namespace's is not written within %s", took)
	}
	if written, dropped := counted(t, r); written < 1024 || written+dropped != 5001 {
		t.Errorf("%v written and %v dropped", written, dropped)
	}
}

// lost is what a line of the log says of Events that were not written.
type lost struct {
	Level   string         `json:"level"`
	Dropped int            `json:"dropped"`
	Of      int            `json:"namespaces"`
	MostOf  map[string]int `json:"mostOf"`
	Error   string         `json:"error"`
}

func TestAFloodIsALineThatSaysHowManyWereLostAndWhose(t *testing.T) {
	var s server
	log, r := record(t, &s, func(r *events.Recorder) {
		for range 2 {
			for namespace := range 10 {
				for i := range 300 + 50*namespace {
					of := policy(strconv.Itoa(i))
					of.Namespace = "n" + strconv.Itoa(namespace)
					r.Tell(of, []report.Change{skipped()})
				}
			}
			// The bubble's: all that was kept is written. Not when a line is due, which
			// would say half of what follows.
			time.Sleep(5*time.Minute + 7*time.Second)
		}
	})
	var lines []lost
	for line := range strings.Lines(log) {
		var said lost
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, said)
	}
	if len(lines) != 2 {
		t.Fatalf("two floods are %d lines:\n%.2000s", len(lines), log)
	}
	total := 0
	for _, said := range lines {
		total += said.Dropped
		if said.Level != "WARN" || said.Of != 10 || said.Error != "too many Events wait" {
			t.Errorf("it is said that %+v", said)
		}
		if worst := slices.Sorted(maps.Keys(said.MostOf)); !slices.Equal(worst, []string{"n5", "n6", "n7", "n8", "n9"}) {
			t.Errorf("most is said to be lost by %v", said.MostOf)
		}
		if n := said.MostOf["n9"]; n < 200 || n >= 750 || n < said.MostOf["n5"] {
			t.Errorf("said to be lost are %v", said.MostOf)
		}
	}
	if _, dropped := counted(t, r); total != int(dropped) || total < 2*(3000-1200) {
		t.Errorf("%d are said to be lost, %v are counted", total, dropped)
	}
}

func TestALongNoteFits(t *testing.T) {
	var s server
	long := skipped()
	long.Message = strings.Repeat("ä", 2000)
	name := policy("7")
	name.Name = strings.Repeat("a", 253)
	record(t, &s, func(r *events.Recorder) { r.Tell(name, []report.Change{long}) })
	for _, event := range s.events() {
		if len(event.Note) > 1024 || strings.ContainsRune(event.Note, '\uFFFD') {
			t.Errorf("%d bytes: %q", len(event.Note), event.Note)
		}
		if faults := validation.IsDNS1123Subdomain(event.Name); len(faults) > 0 {
			t.Errorf("name: %v", faults)
		}
	}
}

func TestWhatWaitsIsWrittenBeforeTheEnd(t *testing.T) {
	var s server
	r := events.New(events.Config{Client: &s, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	r.Tell(policy("7"), []report.Change{skipped()})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := r.Run(ctx); err != nil || len(s.events()) != 1 {
		t.Errorf("%v, %d Events, want one", err, len(s.events()))
	}
}

// mute is an API server that never answers.
type mute struct{ server }

func (m *mute) Events(string) eventsv1client.EventInterface { return m }

func (m *mute) Create(
	ctx context.Context, _ *eventsv1.Event, _ metav1.CreateOptions,
) (*eventsv1.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnEndIsNotHeldUpByWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := events.New(events.Config{Client: &mute{}, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now})
		for range 100 {
			r.Tell(policy("7"), []report.Change{skipped()})
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		began := time.Now()
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it ended after %s", took)
		}
		if _, dropped := counted(t, r); dropped != 100 {
			t.Errorf("%v are counted as dropped, want all", dropped)
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), " dropped=100 ") {
			t.Errorf("the log says\n%s", &log)
		}
	})
}
