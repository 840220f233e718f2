package model

import (
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Envoy is what is known of one Envoy of a Gateway. The expected set comes
// from whoever starts Envoys, the rest from the xDS acknowledgements.
type Envoy struct {
	// Name is the pod's name, or envoy-PID.
	Name string
	// Connected says whether it has an xDS stream now, on which it has said which
	// clusters it has: before that, Held may be less than it uses.
	Connected bool
	// Settled maps each key of Gateway.Shares to the share of the last
	// publication which this Envoy acknowledged to the end: clusters, listeners
	// and routes, and the removal of what they replaced.
	Settled map[gwapi.Key]string
	// Held are the clusters that were sent to this Envoy and whose removal it
	// has not acknowledged, sorted by Name: it may be using them.
	Held []HeldCluster
	// Rejections are what it refused of the newest publication, sorted.
	Rejections []Rejection
}

// HeldCluster is a cluster that an Envoy may be using.
type HeldCluster struct {
	Name   string
	Policy gwapi.Key
	Mode   Mode
	// Unknown says that nothing but the name is known, because whoever sent it is
	// gone: it may be a cluster of any policy in any mode.
	Unknown bool
	// Lapses is when the cluster's time to live ends it; zero for never.
	Lapses time.Time
}

// Rejection is a NACK.
type Rejection struct {
	// Type is the short name of the resource type: Cluster, Listener,
	// RouteConfiguration, Secret, ClusterLoadAssignment.
	Type string
	// Name is the resource, "" where Envoy did not say.
	Name string
	// Message is Envoy's own words, untrusted text.
	Message string
}
