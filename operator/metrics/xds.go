package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Streams counts what this replica serves to Envoys. Unlike what is about
// objects, it is told by every replica: each has its own streams.
type Streams struct {
	publications    prometheus.Counter
	authentications *prometheus.CounterVec
	connected       prometheus.Collector
	authority       prometheus.Collector
}

// The values of the label result of authentications.
const (
	accepted    = "accepted"
	refused     = "refused"
	unavailable = "unavailable"
)

// NewStreams makes the metrics. Envoys are those that this replica serves or
// served; authorityEnds is when the CA that signs for the control plane ends,
// zero while there is none.
func NewStreams(envoys func() map[gwapi.Key][]model.Envoy, authorityEnds func() time.Time) *Streams {
	s := &Streams{
		publications: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backendtls_xds_publications_total",
			Help: "Configurations of a Gateway that were handed to this replica's xDS server because they changed.",
		}),
		authentications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backendtls_xds_authentications_total",
			Help: "Streams that asked this replica for configuration, by result: accepted; refused (not an Envoy of a " +
				"Gateway, or its token is not valid; the log says why); unavailable (the API server could not be asked).",
		}, []string{"result"}),
		connected: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backendtls_xds_connected_envoys",
			Help: "Envoys that have a stream to this replica.",
		}, func() float64 { return float64(connected(envoys())) }),
		authority: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "backendtls_xds_ca_not_after_seconds",
			Help: "When the last of the CAs that Envoys trust to sign for the control plane ends, in seconds since 1970; 0 " +
				"while there is none. They are replaced long before.",
		}, func() float64 {
			if end := authorityEnds(); !end.IsZero() {
				return seconds(end)
			}
			return 0
		}),
	}
	for _, result := range []string{accepted, refused, unavailable} {
		s.authentications.WithLabelValues(result)
	}
	return s
}

// Collectors are all metrics of the Streams.
func (s *Streams) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.publications, s.authentications, s.connected, s.authority}
}

// Published takes note of a publication.
func (s *Streams) Published() { s.publications.Inc() }

// Authenticated takes note of what came of identifying the peer of a stream.
func (s *Streams) Authenticated(err error) {
	result := accepted
	switch {
	case err == nil:
	case status.Code(err) == codes.Unavailable:
		result = unavailable
	default:
		result = refused
	}
	s.authentications.WithLabelValues(result).Inc()
}

func connected(envoys map[gwapi.Key][]model.Envoy) (count int) {
	for _, of := range envoys {
		for i := range of {
			if of[i].Connected {
				count++
			}
		}
	}
	return count
}
