package envoy_test

import (
	"strings"
	"testing"
	"time"

	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

func TestRequestsOverATrustEnd(t *testing.T) {
	f := read(t)
	for name, c := range map[string]struct {
		trust       *model.Trust
		limit, want time.Duration
	}{
		"without a word after a day":              {f.strict(), 0, 24 * time.Hour},
		"at the Gateway's limit":                  {f.strict(), time.Minute, time.Minute},
		"never without a limit":                   {f.strict(), model.NoSessionLimit, 0},
		"insecure soon":                           {f.strict(lasting(model.InsecureSkipVerification)), 0, time.Hour},
		"insecure soon without a limit too":       {f.strict(lasting(model.InsecureAllowExpired)), model.NoSessionLimit, time.Hour},
		"insecure at the Gateway's limit if less": {f.strict(lasting(model.InsecureSkipVerification)), time.Minute, time.Minute},
		"never in plaintext":                      {nil, 0, 0},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			b := backend("api", c.trust)
			b.SessionLimit = c.limit
			resources, faults := envoy.Translate(gateway([]model.Backend{b}))
			options := &httpv3.HttpProtocolOptions{}
			for _, packed := range resources.Clusters[b.Name()].GetTypedExtensionProtocolOptions() {
				if err := packed.UnmarshalTo(options); err != nil {
					t.Fatal(err)
				}
			}
			if got := options.GetCommonHttpProtocolOptions().GetMaxStreamDuration().AsDuration(); got != c.want {
				t.Errorf("got %s, want %s; faults %v", got, c.want, faults)
			}
		})
	}
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
