package status

import "github.com/prometheus/client_golang/prometheus"

// counts are the metrics of a Writer.
type counts struct {
	writes    *prometheus.CounterVec
	unchanged prometheus.Counter
	rewrites  prometheus.Counter
}

// The values of the label result.
const (
	resultWritten  = "written"
	resultConflict = "conflict"
	resultGone     = "gone"
	resultFailed   = "failed"
)

func newCounts() counts {
	c := counts{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backendtls_status_writes_total",
			Help: "Requests that write the status of one object, by result: written; conflict (somebody else " +
				"wrote first, it is tried again); gone (the object is); failed (the log says why, it is tried again).",
		}, []string{"result"}),
		unchanged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backendtls_status_unchanged_total",
			Help: "Objects that were looked at and already said what they should, so that nothing was written.",
		}),
		rewrites: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backendtls_status_rewrites_total",
			Help: "Statuses that put back what somebody else had changed of ours; another controller claims the same " +
				"objects if it grows.",
		}),
	}
	for _, result := range []string{resultWritten, resultConflict, resultGone, resultFailed} {
		c.writes.WithLabelValues(result)
	}
	return c
}

// Collectors are the metrics of the Writer. How many objects wait is in
// controller-runtime's workqueue_depth with name="status".
func (w *Writer) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		w.counts.writes, w.counts.unchanged, w.counts.rewrites,
	}
}
