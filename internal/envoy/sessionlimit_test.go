package envoy_test

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

func TestRequestsOverATrustEnd(t *testing.T) {
	f := read(t)
	for name, c := range map[string]struct {
		trust       *model.Trust
		limit, want time.Duration
		mirror      bool
	}{
		"without a word after a day":               {f.strict(), 0, 24 * time.Hour, false},
		"at the Gateway's limit":                   {f.strict(), time.Minute, time.Minute, false},
		"never without a limit":                    {f.strict(), model.NoSessionLimit, 0, false},
		"insecure soon":                            {f.strict(lasting(model.InsecureSkipVerification)), 0, time.Hour, false},
		"insecure soon without a limit too":        {f.strict(lasting(model.InsecureAllowExpired)), model.NoSessionLimit, time.Hour, false},
		"insecure at the Gateway's limit if less":  {f.strict(lasting(model.InsecureSkipVerification)), time.Minute, time.Minute, false},
		"never in plaintext":                       {nil, 0, 0, false},
		"as copies after a minute":                 {f.strict(), 0, time.Minute, true},
		"as copies without a limit too":            {f.strict(), model.NoSessionLimit, time.Minute, true},
		"as copies at the Gateway's limit if less": {f.strict(), time.Second, time.Second, true},
		"as copies in plaintext too":               {nil, 0, time.Minute, true},
		"as insecure copies too":                   {f.strict(lasting(model.InsecureSkipVerification)), 0, time.Minute, true},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			b := backend("api", c.trust)
			b.SessionLimit, b.Mirror = c.limit, c.mirror
			resources, faults := envoy.Translate(gateway([]model.Backend{b}))
			if got := maxStreamDuration(resources.Clusters[b.Name()].Cluster); got != c.want {
				t.Errorf("got %s, want %s; faults %v", got, c.want, faults)
			}
		})
	}
}

// maxStreamDuration is when the requests to a cluster end, 0 for never.
func maxStreamDuration(c *clusterv3.Cluster) time.Duration {
	for _, packed := range c.GetTypedExtensionProtocolOptions() {
		options := &httpv3.HttpProtocolOptions{}
		if err := packed.UnmarshalTo(options); err == nil {
			return options.GetCommonHttpProtocolOptions().GetMaxStreamDuration().AsDuration()
		}
	}
	return 0
}

func TestAnotherLimitIsAnotherCluster(t *testing.T) {
	f := read(t)
	names := map[string]time.Duration{}
	for _, limit := range []time.Duration{0, time.Minute, time.Hour, model.NoSessionLimit} {
		b := backend("api", f.strict())
		b.SessionLimit = limit
		if other, twice := names[b.Name()]; twice {
			t.Errorf("limits %s and %s have one name, so a cluster would change in place", limit, other)
		}
		names[b.Name()] = limit
	}
}
