package envoy

import (
	"fmt"
	"math"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// split sends requests to backends by weight. It is nil where no share can be
// served, which is a 500. A share that cannot goes to MissingCluster, which is
// a 500 for that share.
func (t *translation) split(rule *model.Rule) (*routev3.RouteAction, error) {
	clusters, err := t.shares(rule)
	if err != nil || clusters == nil {
		return nil, err
	}
	action := newRouteAction()
	if len(clusters) == 1 {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: clusters[0].cluster}
		return action, nil
	}
	shares := make([]*routev3.WeightedCluster_ClusterWeight, len(clusters))
	for i, share := range clusters {
		shares[i] = &routev3.WeightedCluster_ClusterWeight{
			Name: share.cluster, Weight: wrapperspb.UInt32(share.weight),
		}
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{
		WeightedClusters: &routev3.WeightedCluster{Clusters: shares},
	}
	return action, nil
}

// clusterShare is how much of a rule's traffic a cluster gets.
type clusterShare struct {
	cluster string
	weight  uint32
}

// shares are the clusters of a rule by weight, MissingCluster for a share that
// cannot be served; nil where none can.
func (t *translation) shares(rule *model.Rule) ([]clusterShare, error) {
	var shares []clusterShare
	var total uint64
	valid := false
	for _, share := range rule.Split {
		if share.Weight == 0 {
			continue
		}
		total += uint64(share.Weight)
		name := t.ruleCluster(rule, share.Backend, false)
		valid = valid || name != MissingCluster
		shares = append(shares, clusterShare{cluster: name, weight: share.Weight})
	}
	switch {
	case !valid:
		return nil, nil
	case total > math.MaxUint32:
		return nil, fmt.Errorf("the weights add up to %d, Envoy takes at most %d", total, uint32(math.MaxUint32))
	default:
		return shares, nil
	}
}

// ruleCluster is the cluster of a share, or of copies; MissingCluster where the
// model gives none, where it could not be written, or where it has the limits of
// the other.
func (t *translation) ruleCluster(rule *model.Rule, backend string, copies bool) string {
	if backend == "" {
		return MissingCluster
	}
	wrong := ""
	switch mirror, known := t.names[backend]; {
	case !known:
		wrong = "is not one of the Gateway's"
	case mirror && !copies:
		wrong = "gets copies alone"
	case copies && !mirror:
		wrong = "gets no copies"
	}
	if wrong != "" {
		t.faults = append(t.faults, Fault{
			Object:   rule.Route,
			Resource: ruleName(rule),
			Message:  fmt.Sprintf("the backend %q %s", backend, wrong),
		})
		return MissingCluster
	}
	if _, written := t.out.Clusters[backend]; !written {
		return MissingCluster
	}
	return backend
}

// newRouteAction is what every route to backends has.
func newRouteAction() *routev3.RouteAction {
	return &routev3.RouteAction{
		// A cluster that is missing on purpose, was withdrawn, refused by Envoy or
		// has lapsed by its time to live must answer 500, not 503.
		ClusterNotFoundResponseCode: routev3.RouteAction_INTERNAL_SERVER_ERROR,
		// The Gateway API has no timeout by default; Envoy has 15 s. Streams in
		// which nothing moves are ended by the connection manager.
		Timeout: durationpb.New(0),
	}
}
