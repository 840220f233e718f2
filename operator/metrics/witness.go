package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// lingering is how long a policy counts as degraded after the last build that
// said so: a status that was under way then may still be written. It is longer
// than such a write may take, which is 4 s, and until it is seen.
const lingering = 6 * time.Second

// Config is what a Witness is made of.
type Config struct {
	// Leading says whether this replica writes.
	Leading func() bool
	// Probed is what the live checks found until now. A certificate that is renewed
	// and passes is no reason to build, so this is newer than what was built with.
	Probed func() map[model.ProbeKey]model.Probed
	Now    func() time.Time
}

// Witness is told of every build and keeps the last one that was whole. Built is
// called by one goroutine.
type Witness struct {
	config Config
	last   atomic.Pointer[built]

	builds    *prometheus.CounterVec
	durations prometheus.Histogram
}

// built is a build and what it was told of the data plane.
type built struct {
	result   resolve.Result
	observed snapshot.Observed
	// lately are the policies that were degraded by a build not long ago.
	lately map[place]degradation
}

// place is a policy on a Gateway.
type place struct{ policy, gateway gwapi.Key }

// degradation is what was said of a place, lastly at a time.
type degradation struct {
	standing model.Standing
	at       time.Time
}

// buckets are from the least that one object costs to what 5,000 routes do, in
// seconds.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// New makes a Witness that knows of no build.
func New(config Config) *Witness {
	w := &Witness{
		config: config,
		builds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backendtls_builds_total",
			Help: "Builds of configuration and statuses out of the objects, by result: whole; waiting (contents that are " +
				"named were not read yet, the next build follows); partial (a Gateway could not be decided, the log says why).",
		}, []string{"result"}),
		durations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "backendtls_build_duration_seconds",
			Help: "Time from reading the objects to handing on configuration and statuses, in seconds.",

			Buckets: buckets,
		}),
	}
	for _, outcome := range resolve.Outcomes {
		w.builds.WithLabelValues(string(outcome))
	}
	return w
}

// Built takes note of a build, before its statuses are written: a mode is
// counted before status says it. What it gets is not changed afterwards.
func (w *Witness) Built(
	result resolve.Result, observed snapshot.Observed, outcome resolve.Outcome, took time.Duration,
) {
	w.builds.WithLabelValues(string(outcome)).Inc()
	w.durations.Observe(took.Seconds())
	if outcome == resolve.Whole {
		w.last.Store(&built{result: result, observed: observed, lately: w.lately(result.Standings)})
	}
}

// lately adds the degraded of a build to those of the builds before.
func (w *Witness) lately(standings []model.Standing) map[place]degradation {
	now := w.config.Now()
	lately := map[place]degradation{}
	if last := w.last.Load(); last != nil {
		for at, was := range last.lately {
			if now.Sub(was.at) < lingering {
				lately[at] = was
			}
		}
	}
	for _, standing := range standings {
		if standing.Mode.Insecure() {
			lately[place{standing.Policy, standing.Gateway}] = degradation{standing, now}
		}
	}
	return lately
}

// Collectors are all metrics of the Witness.
func (w *Witness) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		w.builds, w.durations,
		collector{w, policyDescs, policies},
		collector{w, backendDescs, backends},
		collector{w, gatewayDescs, gateways},
	}
}

// collector makes series out of the last build, on the leader.
type collector struct {
	witness *Witness
	descs   []*prometheus.Desc
	collect func(Config, *built, chan<- prometheus.Metric)
}

// Describe lists the metrics.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range c.descs {
		descs <- desc
	}
}

// Collect makes the series.
func (c collector) Collect(series chan<- prometheus.Metric) {
	if last := c.witness.last.Load(); last != nil && c.witness.config.Leading() {
		c.collect(c.witness.config, last, series)
	}
}

// gauge is one series.
func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// seconds is a time as a number.
func seconds(at time.Time) float64 { return float64(at.UnixNano()) / float64(time.Second) }

// flag is 1 or 0.
func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
