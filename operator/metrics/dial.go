package metrics

import (
	"context"
	"net"

	"github.com/prometheus/client_golang/prometheus"
)

// Dials counts the connections of live checks.
type Dials struct{ connections *prometheus.CounterVec }

// NewDials makes the metric.
func NewDials() *Dials {
	d := &Dials{connections: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backendtls_probe_connections_total",
		Help: "Connections of this replica's live checks to endpoints, by result: connected (a handshake follows) or failed.",
	}, []string{"result"})}
	for _, result := range []string{"connected", "failed"} {
		d.connections.WithLabelValues(result)
	}
	return d
}

// Collectors are all metrics of the Dials.
func (d *Dials) Collectors() []prometheus.Collector { return []prometheus.Collector{d.connections} }

// Dial opens a connection and counts it.
func (d *Dials) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := new(net.Dialer).DialContext(ctx, network, address)
	result := "connected"
	if err != nil {
		result = "failed"
	}
	d.connections.WithLabelValues(result).Inc()
	return connection, err
}
