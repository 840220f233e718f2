package envoy

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// Resources is the configuration of one Gateway's Envoys, by resource name.
// Endpoints are not in it: they have a path of their own.
type Resources struct {
	Clusters  map[string]Cluster
	Listeners map[string]*listenerv3.Listener
	Routes    map[string]*routev3.RouteConfiguration
	Secrets   map[string]*tlsv3.Secret
}

// Cluster is a cluster and what the publisher must know of it.
type Cluster struct {
	*clusterv3.Cluster

	// Held is what an Envoy that has this cluster may be using; Held.Lapses is
	// when an insecure cluster must be gone even without a control plane
	// (mode-until + Grace), zero for never.
	Held model.HeldCluster
}

// Grace is how long after mode-until an insecure cluster lapses by itself: the
// control plane ends the mode first, and the time to live is what is left if
// there is no control plane.
const Grace = 5 * time.Second
