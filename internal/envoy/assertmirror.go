package envoy

import (
	"errors"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// assertMirror (A14): what gets copies holds few connections and requests, each of
// which ends (A12). A threshold that is not set is Envoy's, which is larger.
func assertMirror(c *clusterv3.Cluster, b *model.Backend) error {
	if !b.Mirror {
		return nil
	}
	if b.Protocol == model.TCP {
		return errors.New("A14: bytes cannot be copied")
	}
	thresholds := c.GetCircuitBreakers().GetThresholds()
	if len(thresholds) != 1 || thresholds[0].GetPriority() != corev3.RoutingPriority_DEFAULT {
		return errors.New("A14: copies have other circuit breakers than those of the one priority that they use")
	}
	for _, limit := range []struct {
		set  *wrapperspb.UInt32Value
		most uint32
	}{
		{thresholds[0].GetMaxConnections(), mirrorConnections},
		{thresholds[0].GetMaxPendingRequests(), mirrorPending},
		{thresholds[0].GetMaxRequests(), mirrorRequests},
	} {
		if limit.set == nil || limit.set.GetValue() > limit.most {
			return errors.New("A14: copies may hold more connections than a silent backend should")
		}
	}
	return nil
}
