package envoy

import (
	"fmt"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// ReadinessPath is what Envoy answers with 200 on the readiness port.
	ReadinessPath = "/ready"

	// ReadinessPrefix is the statistics prefix of the readiness listener, whose
	// connections are nobody's traffic.
	ReadinessPrefix = "readiness"

	// notFound is the status of every other path there.
	notFound = 404
)

// ReadinessName names the readiness listener: readiness/19001.
func ReadinessName(port int32) string { return fmt.Sprintf("%s/%d", ReadinessPrefix, port) }

// readiness writes the listener that tells kubelet that Envoy serves. It comes
// with the others over xDS, so it is there once Envoy has its configuration, and
// an Envoy that lost its control plane stays ready.
func (t *translation) readiness() {
	if t.gateway.ReadinessPort == 0 {
		return
	}
	name := ReadinessName(t.gateway.ReadinessPort)
	t.ports[t.gateway.ReadinessPort] = true
	t.try(t.gateway.Key, name, func() error {
		written, err := t.newReadiness(name)
		if err != nil {
			return err
		}
		if err := validate(written); err != nil {
			return err
		}
		t.out.Listeners[name] = written
		return nil
	})
}

func (t *translation) newReadiness(name string) (*listenerv3.Listener, error) {
	health, err := pack(&healthv3.HealthCheck{
		// Answered here, not by a backend.
		PassThroughMode: wrapperspb.Bool(false),
		Headers: []*routev3.HeaderMatcher{{
			Name: ":path",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: ReadinessPath},
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	router, err := pack(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager := &hcmv3.HttpConnectionManager{
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		StatPrefix: ReadinessPrefix,
		ServerName: serverName,
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: healthCheck, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: health}},
			{Name: httpFilterRouter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}},
		},
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: name,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: anyHost, Domains: []string{anyHost},
				Routes: []*routev3.Route{{Match: anyPath(), Action: directResponse(notFound)}},
			}},
		}},
	}
	boundRequests(manager)
	if err := trustNoClient(manager); err != nil {
		return nil, err
	}
	packed, err := pack(manager)
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:       name,
		StatPrefix: ReadinessPrefix,
		Address:    socketAddress(t.gateway.Address, uint32(t.gateway.ReadinessPort)),
		// An Envoy that has all the connections it takes is busy, not broken.
		IgnoreGlobalConnLimit:         true,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(connectionBuffer),
		FilterChains: []*listenerv3.FilterChain{{
			Name: name,
			Filters: []*listenerv3.Filter{{
				Name: connectionManager, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed},
			}},
		}},
	}, nil
}
