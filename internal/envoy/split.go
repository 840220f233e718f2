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
	var shares []*routev3.WeightedCluster_ClusterWeight
	var total uint64
	valid := false
	for _, share := range rule.Split {
		if share.Weight == 0 {
			continue
		}
		total += uint64(share.Weight)
		name := t.shareCluster(rule, share)
		valid = valid || name != MissingCluster
		shares = append(shares, &routev3.WeightedCluster_ClusterWeight{
			Name:   name,
			Weight: wrapperspb.UInt32(share.Weight),
		})
	}
	if !valid {
		return nil, nil //nolint:nilnil // no action is the answer: documented above
	}
	if total > math.MaxUint32 {
		return nil, fmt.Errorf("the weights add up to %d, Envoy takes at most %d", total, uint32(math.MaxUint32))
	}
	action := newRouteAction()
	if len(shares) == 1 {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: shares[0].GetName()}
		return action, nil
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{
		WeightedClusters: &routev3.WeightedCluster{Clusters: shares},
	}
	return action, nil
}

// shareCluster is the cluster of a share; MissingCluster where the model gives
// none, or where it could not be written.
func (t *translation) shareCluster(rule *model.Rule, share model.WeightedBackend) string {
	if share.Backend == "" {
		return MissingCluster
	}
	if _, written := t.out.Clusters[share.Backend]; written {
		return share.Backend
	}
	if !t.names[share.Backend] {
		t.faults = append(t.faults, Fault{
			Object:   rule.Route,
			Resource: ruleName(rule),
			Message:  fmt.Sprintf("the backend %q is not one of the Gateway's", share.Backend),
		})
	}
	return MissingCluster
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
