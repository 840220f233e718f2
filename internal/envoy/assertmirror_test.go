package envoy

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

func TestAClusterForCopiesThatMayHoldMuchIsNotPublished(t *testing.T) {
	first := func(c *clusterv3.Cluster) *clusterv3.CircuitBreakers_Thresholds {
		return c.GetCircuitBreakers().GetThresholds()[0]
	}
	for says, test := range map[string]struct {
		change func(*clusterv3.Cluster)
		want   string
	}{
		"as it was made":          {func(*clusterv3.Cluster) {}, ""},
		"no circuit breakers":     {func(c *clusterv3.Cluster) { c.CircuitBreakers = nil }, "A14"},
		"no bound on connections": {func(c *clusterv3.Cluster) { first(c).MaxConnections = nil }, "A14"},
		"a bound of other backends": {func(c *clusterv3.Cluster) {
			c.CircuitBreakers = circuitBreakers(&model.Backend{})
		}, "A14"},
		"many may wait":    {func(c *clusterv3.Cluster) { first(c).MaxPendingRequests = wrapperspb.UInt32(maxPending) }, "A14"},
		"many at once":     {func(c *clusterv3.Cluster) { first(c).MaxRequests = wrapperspb.UInt32(maxRequests) }, "A14"},
		"another priority": {func(c *clusterv3.Cluster) { first(c).Priority = corev3.RoutingPriority_HIGH }, "A14"},
		"copies without an end": {func(c *clusterv3.Cluster) {
			c.GetTypedExtensionProtocolOptions()[httpOptions] = endless(t)
		}, "A12"},
		"no options, so no end": {func(c *clusterv3.Cluster) { c.TypedExtensionProtocolOptions = nil }, "A12"},
	} {
		t.Run(strings.ReplaceAll(says, " ", "_"), func(t *testing.T) {
			strict := soundBackend(t)
			plain := strict
			plain.Trust = nil
			for _, b := range []model.Backend{strict, plain} {
				b.Mirror = true
				translation := &translation{bundles: &bundles{}}
				c, err := translation.newCluster(&b, b.Name())
				if err != nil {
					t.Fatal(err)
				}
				test.change(c)
				err = assertCluster(c, &b, b.Name(), translation.bundles)
				switch {
				case test.want == "" && err != nil:
					t.Errorf("trust %t: %v", b.Trust != nil, err)
				case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want+": ")):
					t.Errorf("trust %t: %v, want %s", b.Trust != nil, err, test.want)
				}
			}
		})
	}
}

func TestBytesAreNotCopied(t *testing.T) {
	b := soundBackend(t)
	b.Protocol, b.Mirror = model.TCP, true
	resources, faults := Translate(model.Gateway{Backends: []model.Backend{b}})
	if len(resources.Clusters) != 0 || len(faults) != 1 || !strings.HasPrefix(faults[0].Message, "A14: ") {
		t.Errorf("clusters %v, faults %v", resources.Clusters, faults)
	}
}
