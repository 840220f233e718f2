package events

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/backendtls/backendtls/internal/report"
)

// The pace of writing: an Event is for people and must not be in the way of
// statuses.
const (
	capacity     = 1024
	writeRate    = rate.Limit(25)
	writeBurst   = 100
	writeTimeout = 5 * time.Second
	attempts     = 4
	retryLeast   = 250 * time.Millisecond
	// farewell is how long what waits is still written after the end.
	farewell = 2 * time.Second
)

// Config is what a Recorder is made of.
type Config struct {
	// Client writes; it should have no rate limit of its own.
	Client eventsv1client.EventsGetter
	// Instance is the name of this replica's pod.
	Instance string
	Log      *slog.Logger
	Now      func() time.Time
}

// Recorder writes Events.
type Recorder struct {
	config  Config
	limiter *rate.Limiter
	queue   *queue
	losses  losses
	written *prometheus.CounterVec
}

// The values of the label result.
const (
	resultWritten = "written"
	resultDropped = "dropped"
)

// New makes a Recorder that writes nothing before Run.
func New(config Config) *Recorder {
	r := &Recorder{
		config: config, limiter: rate.NewLimiter(writeRate, writeBurst), queue: newQueue(capacity),
		losses: losses{log: config.Log},
		written: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backendtls_events_total",
			Help: "Events about policies, by result: written; dropped (the API server refused it, or too many waited; " +
				"the log says whose, and the policy's status has it too).",
		}, []string{"result"}),
	}
	r.written.WithLabelValues(resultWritten)
	r.written.WithLabelValues(resultDropped)
	return r
}

// Collectors are the metrics of the Recorder.
func (r *Recorder) Collectors() []prometheus.Collector { return []prometheus.Collector{r.written} }

// Tell takes note of changes of a policy, which is the object as it was before
// they were written. It never blocks; where too many wait, those of the namespace
// with the most are dropped.
func (r *Recorder) Tell(policy metav1.Object, changes []report.Change) {
	for i := range changes {
		if dropped := r.queue.put(r.event(policy, &changes[i])); dropped != nil {
			r.drop(dropped, errors.New("too many Events wait"))
		}
	}
}

// Run writes until ctx ends, and then what is left, for a while: the changes were
// written into statuses, and nobody else will tell of them. What is lost it logs
// now and then, and at the end.
func (r *Recorder) Run(ctx context.Context) error {
	var logging sync.WaitGroup
	logging.Go(func() { r.losses.run(ctx) })
	defer func() { logging.Wait(); r.losses.say() }()
	ending, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(farewell, end) })()
	for ctx.Err() == nil {
		event := r.queue.next()
		if event == nil {
			select {
			case <-ctx.Done():
			case <-r.queue.came:
			}
			continue
		}
		if r.limiter.Wait(ctx) != nil || !r.write(ctx, event) {
			r.last(ending, event)
		}
	}
	for event := r.queue.next(); event != nil; event = r.queue.next() {
		r.last(ending, event)
	}
	return nil
}

// last tries once; when ending is over, it counts what was not written.
func (r *Recorder) last(ending context.Context, event *eventsv1.Event) {
	if err := r.create(ending, event); err != nil {
		r.drop(event, err)
	}
}

// write tries a few times. It is false if ctx ended before the Event was written
// or dropped.
func (r *Recorder) write(ctx context.Context, event *eventsv1.Event) bool {
	pause := retryLeast
	for attempt := 1; ; attempt++ {
		err := r.create(ctx, event)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case attempt == attempts || final(err):
			r.drop(event, err)
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// create sends one Event. That it exists means that it was sent before.
func (r *Recorder) create(ctx context.Context, event *eventsv1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	_, err := r.config.Client.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // What it is about goes with its namespace.
	case err != nil && !apierrors.IsAlreadyExists(err):
		return err
	}
	r.written.WithLabelValues(resultWritten).Inc()
	return nil
}

// final says whether trying again makes no sense: the right is
// missing, or the Event is not one.
func final(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) ||
		apierrors.IsBadRequest(err)
}

func (r *Recorder) drop(event *eventsv1.Event, err error) {
	r.written.WithLabelValues(resultDropped).Inc()
	r.losses.add(event, err)
}
