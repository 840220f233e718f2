package health

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry is where metrics are registered and read from;
// controller-runtime's metrics.Registry is one.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// scrapes is how many requests for metrics are answered at a time.
const scrapes = 4

// Counter is a metric that only grows, read from a plain number when it is
// asked for. The name ends in _total; help names the unit.
func Counter(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
}

// Gauge is a metric that goes up and down, read from a plain number when it is
// asked for. The name ends in its unit; help names it too.
func Gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// Flag is a gauge of 1 or 0.
func Flag(name, help string, value func() bool) prometheus.Collector {
	return Gauge(name, help, func() float64 {
		if value() {
			return 1
		}
		return 0
	})
}

// register adds the collectors to the registry. A name that is taken is a fault
// of the wiring.
func register(registry Registry, collectors []prometheus.Collector) error {
	for _, collector := range collectors {
		if err := registry.Register(collector); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

func metrics(registry Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		// A collector that fails costs its own metrics, not all.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapes,
		Timeout:             answerTimeout - requestTimeout,
	})
}
