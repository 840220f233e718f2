package envoy

import (
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	valuev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	trailersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	statev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/model"
)

// clientHeaders matches every spelling of the headers that speak of a client's
// certificate, as model.ClientHeader does; Envoy has names in lower case and
// compares the whole of them.
var clientHeaders = strings.ReplaceAll(model.ClientCertificateHeader+"|"+model.ClientVerifiedHeader, "-", "[^a-z0-9]")

// dropClientHeaders takes from every request what claims to describe a client's
// certificate: before Envoy writes what it knows itself, and so without touching
// that. Trailers are no headers, but there are servers that merge them.
func dropClientHeaders(manager *hcmv3.HttpConnectionManager) error {
	drop := []*mutationv3.HeaderMutation{{
		Action: &mutationv3.HeaderMutation_RemoveOnMatch_{RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{
			KeyMatcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
				SafeRegex: &matcherv3.RegexMatcher{Regex: clientHeaders},
			}},
		}},
	}}
	early, err := pack(&earlyv3.HeaderMutation{Mutations: drop})
	if err != nil {
		return err
	}
	trailers, err := pack(&trailersv3.HeaderMutation{Mutations: &trailersv3.Mutations{RequestTrailersMutations: drop}})
	if err != nil {
		return err
	}
	manager.EarlyHeaderMutationExtensions = []*corev3.TypedExtensionConfig{{
		Name: earlyHeaderMutation, TypedConfig: early,
	}}
	manager.HttpFilters = append([]*hcmv3.HttpFilter{{
		Name: headerMutation, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: trailers},
	}}, manager.HttpFilters...)
	return nil
}

// forwardClients passes on what the client presented: the certificate, its chain
// and its hash, but no name out of a certificate that may not be verified. Where
// clients are not asked for a certificate there is nothing to pass on.
func forwardClients(manager *hcmv3.HttpConnectionManager, clients *model.ClientValidation) {
	manager.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE
	if clients == nil {
		return
	}
	manager.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	manager.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
		Cert: true, Chain: true,
	}
}

// admittedBy notes at each connection which CA its certificate is verified with.
// A listener that changes keeps its connections for a while; what they may do is
// decided by verifiedHere.
func admittedBy(clients *model.ClientValidation) (*listenerv3.Filter, error) {
	packed, err := pack(&statev3.Config{OnNewConnection: []*valuev3.FilterStateValue{{
		Key:        &valuev3.FilterStateValue_ObjectKey{ObjectKey: admittedState},
		FactoryKey: stringState,
		Value: &valuev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: strings.Join(anchorIDs(clients), ",")},
			}},
		}},
	}}})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Filter{
		Name:       setFilterState,
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed},
	}, nil
}

// manyAnchors is the number of CA certificates from which on they are one: a
// connection then counts as verified by the whole of them or not at all.
const manyAnchors = 32

// anchorIDs name the CA certificates of a validation, each by half of its
// SHA-256.
func anchorIDs(clients *model.ClientValidation) []string {
	const length = 32
	if len(clients.Anchors) > manyAnchors {
		return []string{clients.DigestOfAnchors()[:length]}
	}
	ids := make([]string, len(clients.Anchors))
	for i := range clients.Anchors {
		ids[i] = model.DigestAnchors(clients.Anchors[i : i+1])[:length]
	}
	return ids
}

// admittedHere matches what admittedBy notes of connections that were opened when
// every CA was trusted that counts now.
func admittedHere(clients *model.ClientValidation) string {
	trusted := "(" + strings.Join(anchorIDs(clients), "|") + ")"
	return trusted + "(," + trusted + ")*"
}

// verifiedHere matches requests of clients whose certificate was verified, on
// connections of which admitted matches the CAs. Which of them it was that verified
// the certificate cannot be asked.
func verifiedHere(match *routev3.RouteMatch, admitted string) {
	match.TlsContext = &routev3.RouteMatch_TlsContextMatchOptions{
		Presented: wrapperspb.Bool(true), Validated: wrapperspb.Bool(true),
	}
	match.FilterState = []*matcherv3.FilterStateMatcher{{
		Key: admittedState,
		Matcher: &matcherv3.FilterStateMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{
				SafeRegex: &matcherv3.RegexMatcher{Regex: admitted},
			},
		}},
	}}
}

// tellBackends splits each route to backends in two: for requests of clients with
// a verified certificate, and for others. The backend is told which of them it
// was. Where only the first are let in the others are asked to come back on a
// connection of their own (421, RFC 9110 section 15.5.20): only one that was
// opened before the listener asked for what it asks now can be among them.
func tellBackends(virtual hosts, clients *model.ClientValidation) hosts {
	if clients == nil {
		return virtual
	}
	admitted := admittedHere(clients)
	for _, host := range virtual {
		routes := make([]*routev3.Route, 0, 2*len(host.Routes))
		for _, route := range host.Routes {
			if route.GetRoute() == nil {
				routes = append(routes, route)
				continue
			}
			verified := proto.CloneOf(route)
			verifiedHere(verified.Match, admitted)
			tell(verified, "true")
			other := &routev3.Route{Name: route.Name, Match: route.Match, Action: directResponse(misdirected)}
			if clients.Fallback {
				other = proto.CloneOf(route)
				tell(other, "false")
			}
			routes = append(routes, verified, other)
		}
		host.Routes = routes
	}
	return virtual
}

// tell writes the header about the client's certificate.
func tell(route *routev3.Route, verified string) {
	route.RequestHeadersToAdd = append(route.RequestHeadersToAdd, headerOption(
		model.Header{Name: model.ClientVerifiedHeader, Value: verified},
		corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	))
}
