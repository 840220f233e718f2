package envoy

import (
	"errors"
	"fmt"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// assertSessions (A12) refuses a filter chain of a TLS listener whose sessions may
// go on for longer than the trust of a backend that they may lead to says: where
// bytes are passed on, no cluster can end them.
func (t *translation) assertSessions(chain *listenerv3.FilterChain) error {
	if len(chain.GetFilters()) != 1 {
		return errors.New("A12: sessions are not handled by one filter alone")
	}
	proxy := &tcpv3.TcpProxy{}
	if err := chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(proxy); err != nil {
		return fmt.Errorf("A12: sessions are not passed on, so they never end: %w", err)
	}
	names := []string{proxy.GetCluster()}
	for _, share := range proxy.GetWeightedClusters().GetClusters() {
		names = append(names, share.GetName())
	}
	lasts := proxy.GetMaxDownstreamConnectionDuration().AsDuration()
	for _, name := range names {
		held := t.out.Clusters[name].Held
		if held.Policy.IsZero() {
			continue
		}
		limit := model.LimitSession(t.gateway.SessionLimit, held.Mode)
		if limit > 0 && (lasts <= 0 || lasts > limit) {
			return fmt.Errorf("A12: sessions end after %s (0s: never), those with %s after %s", lasts, name, limit)
		}
	}
	return nil
}
