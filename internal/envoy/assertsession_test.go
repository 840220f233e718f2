package envoy

import (
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// streamed is a translation with the clusters "plain", "strict" and "insecure" and
// a limit for sessions.
func streamed(limit time.Duration) *translation {
	policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api")
	return &translation{gateway: model.Gateway{SessionLimit: limit}, out: Resources{Clusters: map[string]Cluster{
		"plain":    {Held: model.HeldCluster{Name: "plain"}},
		"strict":   {Held: model.HeldCluster{Name: "strict", Policy: policy, Mode: model.Standard}},
		"insecure": {Held: model.HeldCluster{Name: "insecure", Policy: policy, Mode: model.InsecureSkipVerification}},
	}}}
}

func TestSessionsThatOutlastATrustAreNotServed(t *testing.T) {
	for says, test := range map[string]struct {
		limit    time.Duration
		clusters []string
		change   func(*tcpv3.TcpProxy)
		refused  bool
	}{
		"as it was made":                 {0, []string{"strict"}, nil, false},
		"as it was made for several":     {0, []string{"plain", "strict", "insecure", MissingCluster}, nil, false},
		"plaintext for ever":             {0, []string{"plain"}, nil, false},
		"for ever where that is allowed": {model.NoSessionLimit, []string{"strict"}, nil, false},
		"for ever":                       {0, []string{"strict"}, lasting(0), true},
		"longer than the default":        {0, []string{"strict"}, lasting(model.DefaultSessionLimit + 1), true},
		"longer than the Gateway says":   {time.Minute, []string{"strict"}, lasting(time.Hour), true},
		"insecure for ever":              {model.NoSessionLimit, []string{"insecure"}, lasting(0), true},
		"insecure for more than an hour": {0, []string{"insecure"}, lasting(2 * time.Hour), true},
		"longer than one of several says": {
			0, []string{"plain", "strict", "insecure"}, lasting(2 * time.Hour), true,
		},
		"to another cluster than it was made for": {model.NoSessionLimit, []string{"strict"}, func(p *tcpv3.TcpProxy) {
			p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: "insecure"}
		}, true},
		"less long": {0, []string{"strict"}, lasting(time.Second), false},
	} {
		t.Run(strings.ReplaceAll(says, " ", "_"), func(t *testing.T) {
			translation := streamed(test.limit)
			shares := make([]clusterShare, len(test.clusters))
			for i, name := range test.clusters {
				shares[i] = clusterShare{cluster: name, weight: 1}
			}
			proxy := translation.newProxy(model.Listener{Port: 443, Protocol: model.TLS}, shares)
			if test.change != nil {
				test.change(proxy)
			}
			chain, err := translation.proxyChain("api.example.com", "443", proxy)
			if err != nil {
				t.Fatal(err)
			}
			err = translation.assertSessions(chain)
			if refused := err != nil && strings.HasPrefix(err.Error(), "A12: "); refused != test.refused || err != nil && !refused {
				t.Errorf("%v, want it refused: %t", err, test.refused)
			}
		})
	}
}

// lasting is a limit of sessions, 0 for none.
func lasting(limit time.Duration) func(*tcpv3.TcpProxy) {
	return func(p *tcpv3.TcpProxy) {
		p.MaxDownstreamConnectionDuration = nil
		if limit > 0 {
			p.MaxDownstreamConnectionDuration = durationpb.New(limit)
		}
	}
}

func TestSessionsThatAreNotPassedOnAreNotServed(t *testing.T) {
	translation := streamed(0)
	chain, err := translation.proxyChain("", "443", translation.newProxy(model.Listener{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for says, filters := range map[string][]*listenerv3.Filter{
		"no filter":         nil,
		"one filter more":   {chain.GetFilters()[0], chain.GetFilters()[0]},
		"an unknown filter": {{Name: "x"}},
	} {
		if err := translation.assertSessions(&listenerv3.FilterChain{Filters: filters}); err == nil ||
			!strings.HasPrefix(err.Error(), "A12: ") {
			t.Errorf("%s: %v, want A12", says, err)
		}
	}
}
