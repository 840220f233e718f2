package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// listenerNode is one listener of a Gateway while it is being built.
type listenerNode struct {
	gateway  *gatewayNode
	spec     *gatewayv1.Listener
	hostname string
	// bound is the port that Envoy binds.
	bound int32
	// kinds are the kinds of routes that it takes; kindFault names the others
	// that its spec lists.
	kinds     []gatewayv1.RouteGroupKind
	kindFault string
	// namespaces are those that it takes routes from.
	namespaces gwapi.NamespaceRule
	// refused is Accepted=False, conflict is Conflicted=True.
	refused, conflict *metav1.Condition
	// overlaps are the HTTPS listeners whose hostnames overlap its own.
	overlaps     []string
	certificates listenerCertificates
	// clients is what is asked of clients; nil where TLS does not end here.
	clients *frontend
	// attached counts the accepted routes.
	attached int32
}

// served says whether Envoy serves the listener.
func (l *listenerNode) served() bool {
	return l.gateway.served() && l.refused == nil && l.clients.usable() &&
		(!l.terminates() || len(l.certificates.pairs) > 0)
}

// passthrough says whether the client's TLS goes on to the backend, which then is
// whom the client trusts: no policy decides there.
func (l *listenerNode) passthrough() bool {
	return l.spec.Protocol == gatewayv1.TLSProtocolType && !l.terminates()
}

// protocol is "" where the listener's is not served.
func (l *listenerNode) protocol() model.Protocol {
	switch l.spec.Protocol {
	case gatewayv1.HTTPProtocolType:
		return model.HTTP
	case gatewayv1.HTTPSProtocolType:
		return model.HTTPS
	case gatewayv1.TLSProtocolType:
		return model.TLS
	case gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
		return ""
	default:
		return ""
	}
}

// privileged ports need rights that Envoy does not have.
const (
	firstUnprivileged = 1024
	privilegedOffset  = 10000
)

// boundPort is the port that Envoy binds for a listener's port.
func boundPort(port gatewayv1.PortNumber) int32 {
	if port < firstUnprivileged {
		return port + privilegedOffset
	}
	return port
}

// listeners makes the listeners of one of our Gateways.
func (b *builder) listeners(node *gatewayNode) {
	for i := range node.object.Spec.Listeners {
		spec := &node.object.Spec.Listeners[i]
		listener := newListener(node, spec, node.key.Namespace)
		listener.kinds, listener.kindFault = supportedKinds(listener)
		listener.refused = refuseListener(listener)
		if listener.refused == nil && !b.snap.Site.Standalone && listener.bound == model.DefaultReadinessPort {
			listener.refused = new(report.ListenerPortUnavailable(fmt.Sprintf(
				"port: %d is where Envoy answers readiness probes; give the listener another port", listener.bound)))
		}
		listener.certificates = b.certificates(listener)
		b.validateClients(listener)
		node.listeners = append(node.listeners, listener)
	}
	findConflicts(node.listeners)
	findOverlaps(node.listeners)
}

func newListener(node *gatewayNode, spec *gatewayv1.Listener, namespace string) *listenerNode {
	listener := &listenerNode{gateway: node, spec: spec, bound: boundPort(spec.Port)}
	if spec.Hostname != nil {
		listener.hostname = string(*spec.Hostname)
	}
	// An unusable rule admits nothing; refuseListener says so of our listeners.
	listener.namespaces, _ = gwapi.NamespacesOf(spec.AllowedRoutes, namespace)
	return listener
}

// servedKinds are the kinds of routes that listeners of ours take.
var servedKinds = []gwapi.Kind{gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute}

// routeKinds are the kinds of routes that listeners of a protocol take.
func routeKinds(protocol model.Protocol) []gwapi.Kind {
	switch protocol {
	case model.HTTP, model.HTTPS:
		return []gwapi.Kind{gwapi.KindHTTPRoute, gwapi.KindGRPCRoute}
	case model.TLS:
		return []gwapi.Kind{gwapi.KindTLSRoute}
	default:
		return nil
	}
}

func routeGroupKind(kind gwapi.Kind) gatewayv1.RouteGroupKind {
	return gatewayv1.RouteGroupKind{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: gatewayv1.Kind(kind)}
}

// supportedKinds are the kinds of routes that a listener takes: those of its
// protocol, or of them the ones that it lists.
func supportedKinds(listener *listenerNode) (kinds []gatewayv1.RouteGroupKind, fault string) {
	kinds = []gatewayv1.RouteGroupKind{}
	known := routeKinds(listener.protocol())
	if known == nil {
		return kinds, ""
	}
	if listener.spec.AllowedRoutes == nil || len(listener.spec.AllowedRoutes.Kinds) == 0 {
		for _, kind := range known {
			kinds = append(kinds, routeGroupKind(kind))
		}
		return kinds, ""
	}
	var unknown []string
	for i, listed := range listener.spec.AllowedRoutes.Kinds {
		at := slices.IndexFunc(known, func(kind gwapi.Kind) bool {
			return kind.Is(listed.Group, &listed.Kind, gatewayv1.GroupName, "")
		})
		switch {
		case at < 0:
			unknown = append(unknown, fmt.Sprintf("allowedRoutes.kinds[%d]: %s is not served by a listener of protocol %s, "+
				"%s of %s is", i, gwapi.GroupKind(listed.Group, &listed.Kind, gatewayv1.GroupName, ""),
				listener.spec.Protocol, joinTexts(known), gatewayv1.GroupName))
		case !slices.ContainsFunc(kinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == listed.Kind }):
			kinds = append(kinds, routeGroupKind(known[at]))
		}
	}
	return kinds, strings.Join(unknown, "; ")
}

// refuseListener names the field that keeps a listener from being served.
func refuseListener(l *listenerNode) *metav1.Condition {
	if l.protocol() == "" {
		return new(report.ListenerUnsupportedProtocol(l.spec.Protocol))
	}
	var faults []string
	if _, err := gwapi.NamespacesOf(l.spec.AllowedRoutes, l.gateway.object.Namespace); err != nil {
		faults = append(faults, err.Error())
	}
	if l.spec.Filters != nil && len(l.spec.Filters.Requests) > 0 {
		faults = append(faults, "filters.requests: filters of listeners are not supported; remove the field")
	}
	if l.spec.TLS != nil {
		faults = append(faults, refuseTLS(l)...)
	}
	if len(faults) == 0 {
		return nil
	}
	return new(report.ListenerUnsupportedValue(report.List(faults)))
}

func refuseTLS(l *listenerNode) (faults []string) {
	tls := l.spec.TLS
	if tls.Mode != nil && *tls.Mode != "" && *tls.Mode != gatewayv1.TLSModeTerminate && !l.passthrough() {
		faults = append(faults, fmt.Sprintf("tls.mode: %q is not supported with protocol %s, %s is",
			*tls.Mode, l.spec.Protocol, gatewayv1.TLSModeTerminate))
	}
	for _, key := range slices.Sorted(maps.Keys(tls.Options)) {
		// Keys of other implementations are for them; ours and those of the
		// standard would have to be known here.
		if strings.HasPrefix(string(key), gwapi.Prefix) || !strings.Contains(string(key), "/") {
			faults = append(faults, fmt.Sprintf("tls.options: %q is not known; remove the key", key))
		}
	}
	return faults
}

// takesKind says whether the listener takes routes of a kind. What another
// controller's listener takes follows from its protocol unless it is listed.
func (l *listenerNode) takesKind(kind gwapi.Kind) bool {
	if isOurs(l.gateway.class) {
		return slices.ContainsFunc(l.kinds, func(taken gatewayv1.RouteGroupKind) bool {
			return kind == gwapi.Kind(taken.Kind)
		})
	}
	if l.spec.AllowedRoutes != nil && len(l.spec.AllowedRoutes.Kinds) > 0 {
		return slices.ContainsFunc(l.spec.AllowedRoutes.Kinds, func(listed gatewayv1.RouteGroupKind) bool {
			return kind.Is(listed.Group, &listed.Kind, gatewayv1.GroupName, "")
		})
	}
	switch l.spec.Protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		return kind == gwapi.KindHTTPRoute || kind == gwapi.KindGRPCRoute
	case gatewayv1.TLSProtocolType:
		return kind == gwapi.KindTLSRoute || kind == gwapi.KindTCPRoute
	case gatewayv1.TCPProtocolType:
		return kind == gwapi.KindTCPRoute
	case gatewayv1.UDPProtocolType:
		return false
	default:
		return true
	}
}
