package envoy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

// clients are what a server asks of its clients, more often nothing.
func (s *source) clients() *model.ClientValidation {
	if s.choose(3) > 0 {
		return nil
	}
	c := &model.ClientValidation{Fallback: s.coin()}
	for range s.choose(3) {
		c.Anchors = append(c.Anchors, [][]byte{s.ca, s.leaf, []byte(s.text(""))}[s.choose(3)])
	}
	if s.choose(4) == 0 {
		c.AnchorsDigest = s.text("x")
	}
	return c
}

// checkEntrances: whoever is to be verified is, at every listener, and no backend
// is told otherwise than by Envoy.
func checkEntrances(t *testing.T, g model.Gateway, resources envoy.Resources) {
	t.Helper()
	for _, l := range g.Listeners {
		for i := range l.Servers {
			server := &l.Servers[i]
			name := envoy.ServerRouteName(l, server.Hostname)
			listener, published := resources.Listeners[envoy.ListenerName(l)]
			if !published || l.Protocol == model.HTTP {
				continue
			}
			for _, chain := range listener.GetFilterChains() {
				first := slices.IndexFunc(l.Servers, func(other model.Server) bool { return other.Hostname == server.Hostname })
				if chain.GetName() != name || first != i || chain.GetTransportSocket() == nil {
					continue
				}
				if err := guarded(chain, server.Clients); err != nil {
					t.Errorf("%s, which asks %+v: %v", name, server.Clients, err)
				}
			}
		}
	}
	for name, listener := range resources.Listeners {
		if err := dropsClaims(listener); err != nil {
			t.Errorf("listener %s: %v", name, err)
		}
	}
}

// guarded is Envoy's algorithm for clients, held against what the server asks.
func guarded(chain *listenerv3.FilterChain, clients *model.ClientValidation) error {
	context := &tlsv3.DownstreamTlsContext{}
	if err := chain.GetTransportSocket().GetTypedConfig().UnmarshalTo(context); err != nil {
		return err
	}
	v := context.GetCommonTlsContext().GetValidationContext()
	untrusted := v.GetTrustChainVerification() == tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	switch {
	case clients == nil:
		if v != nil || context.GetRequireClientCertificate().GetValue() {
			return fmt.Errorf("asks for a certificate")
		}
		return nil
	case !strings.Contains(v.GetTrustedCa().GetInlineString(), "BEGIN CERTIFICATE"):
		return fmt.Errorf("has no CA")
	case context.GetRequireClientCertificate().GetValue() == clients.Fallback || untrusted != clients.Fallback:
		return fmt.Errorf("lets in others")
	case !context.GetDisableStatelessSessionResumption() || !context.GetDisableStatefulSessionResumption():
		return fmt.Errorf("resumes sessions")
	}
	return nil
}

// dropsClaims: no connection manager passes on what a client says of itself.
func dropsClaims(listener *listenerv3.Listener) error {
	for _, chain := range listener.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			manager := &hcmv3.HttpConnectionManager{}
			if !filter.GetTypedConfig().MessageIs(manager) {
				continue
			}
			if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
				return err
			}
			forward, details := manager.GetForwardClientCertDetails(), manager.GetSetCurrentClientCertDetails()
			switch {
			case len(manager.GetEarlyHeaderMutationExtensions()) != 1:
				return fmt.Errorf("nothing is dropped early")
			case forward != hcmv3.HttpConnectionManager_SANITIZE && forward != hcmv3.HttpConnectionManager_SANITIZE_SET:
				return fmt.Errorf("forwards by %s", forward)
			case details.GetSubject().GetValue() || details.GetUri() || details.GetDns() || details.GetIssuer():
				return fmt.Errorf("forwards names")
			}
		}
	}
	return nil
}

// tellsTheTruth: a route that says "true" is for verified clients alone, and
// nothing else writes or removes one of the headers.
func tellsTheTruth(route *routev3.Route) error {
	match := route.GetMatch()
	verified := match.GetTlsContext().GetValidated().GetValue() && len(match.GetFilterState()) == 1
	for _, removed := range route.GetRequestHeadersToRemove() {
		if model.ClientHeader(removed) {
			return fmt.Errorf("removes %s", removed)
		}
	}
	for _, added := range route.GetRequestHeadersToAdd() {
		name, value := added.GetHeader().GetKey(), added.GetHeader().GetValue()
		if model.ClientHeader(name) && (name != model.ClientVerifiedHeader || value != fmt.Sprint(verified)) {
			return fmt.Errorf("adds %s: %s, verified %t", name, value, verified)
		}
	}
	return nil
}
