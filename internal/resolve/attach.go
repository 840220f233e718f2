package resolve

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// routeView is what routes of every kind have in common.
type routeView struct {
	key        gwapi.Key
	generation int64
	parents    []gatewayv1.ParentReference
	live       []gatewayv1.RouteParentStatus
	hostnames  []string
	// attachments are the parentRefs that name a Gateway that exists, in order.
	attachments []*attachment
}

// attachment is one parentRef of a route and what became of it.
type attachment struct {
	parent  *gatewayv1.ParentReference
	gateway *gatewayNode
	// bindings are the listeners that take the route; none: it is turned away.
	bindings []binding
	// refused is Accepted=False, or Unknown, of a route that is turned away.
	refused metav1.Condition
	// conflicts say which listeners do not take the route after all, because
	// routes of another kind have its hostnames.
	conflicts []string
}

// binding is a listener that takes a route, for these hostnames.
type binding struct {
	listener *listenerNode
	hosts    []gwapi.Intersection
}

// ours are the Gateways of ours that the route names, whether they take it or
// not, each once.
func (r *routeView) ours() (gateways []*gatewayNode) {
	for _, a := range r.attachments {
		if isOurs(a.gateway.class) && !slices.Contains(gateways, a.gateway) {
			gateways = append(gateways, a.gateway)
		}
	}
	return gateways
}

// attach finds out which listeners take a route.
func (b *builder) attach(route *routeView) {
	for i := range route.parents {
		parent := &route.parents[i]
		key, known := gwapi.ParentKey(parent, route.key.Namespace)
		switch {
		case !known:
		case key.Kind == gwapi.KindListenerSet:
			b.attachToSet(route, parent, key)
		case b.byKey[key] != nil:
			node := b.byKey[key]
			route.attachments = append(route.attachments, b.attachTo(route, parent, node, node.listeners))
		case b.foreign[key] != nil:
			node := b.foreign[key]
			route.attachments = append(route.attachments, b.attachTo(route, parent, node, node.listeners))
		}
	}
}

// attachToSet attaches a route to a ListenerSet. Those on our Gateways are not
// served; others are followed, because requests take that way to a Service.
func (b *builder) attachToSet(route *routeView, parent *gatewayv1.ParentReference, key gwapi.Key) {
	set, found := b.snap.ListenerSets.Get(key.NamespacedName())
	if !found {
		return
	}
	gateway := setParent(set)
	if node := b.byKey[gateway]; node != nil {
		route.attachments = append(route.attachments, &attachment{
			parent: parent, gateway: node,
			refused: report.RouteNoMatchingParent(fmt.Sprintf(
				"%s is not served; only the listeners in the spec of %s are", key, gateway)),
		})
		return
	}
	if node := b.foreign[gateway]; node != nil {
		route.attachments = append(route.attachments, b.attachTo(route, parent, node, b.sets[key]))
	}
}

// attachTo attaches a route to the listeners of a Gateway that a parentRef
// selects. The reason for turning it away is that of the listener which came
// closest to taking it.
func (b *builder) attachTo(
	route *routeView, parent *gatewayv1.ParentReference, node *gatewayNode, listeners []*listenerNode,
) *attachment {
	a := &attachment{parent: parent, gateway: node}
	var selected, unknown, admitted, notAllowed []string
	for _, l := range listeners {
		if !gwapi.SelectsListener(parent, l.spec.Name, l.spec.Port) {
			continue
		}
		name := string(l.spec.Name)
		selected = append(selected, name)
		why, sentence := b.admits(l, route.key)
		switch why {
		case unseen:
			unknown = append(unknown, sentence)
			continue
		case present:
		case missing, faulty, forbidden:
			notAllowed = append(notAllowed, sentence)
			continue
		}
		admitted = append(admitted, fmt.Sprintf("listener %s has hostname %q", name, l.hostname))
		if hosts := gwapi.Intersections(l.hostname, route.hostnames); len(hosts) > 0 {
			a.bindings = append(a.bindings, binding{listener: l, hosts: hosts})
		}
	}
	switch {
	case len(a.bindings) > 0:
	case len(selected) == 0:
		a.refused = report.RouteNoMatchingParent(selectsNothing(parent, node.key))
	case len(unknown) > 0:
		a.refused = report.RouteUnseen(report.List(unknown))
	case len(admitted) > 0:
		a.refused = report.RouteNoMatchingListenerHostname(fmt.Sprintf("spec.hostnames %s match none of: %s",
			strings.Join(route.hostnames, ", "), report.List(admitted)))
	default:
		a.refused = report.RouteNotAllowedByListeners(report.List(slices.Compact(notAllowed)))
	}
	return a
}

func selectsNothing(parent *gatewayv1.ParentReference, gateway gwapi.Key) string {
	var asked []string
	if parent.SectionName != nil && *parent.SectionName != "" {
		asked = append(asked, fmt.Sprintf("name %q", *parent.SectionName))
	}
	if parent.Port != nil {
		asked = append(asked, fmt.Sprintf("port %d", *parent.Port))
	}
	if len(asked) == 0 {
		return fmt.Sprintf("%s has no listener", gateway)
	}
	return fmt.Sprintf("%s has no listener with %s", gateway, strings.Join(asked, " and "))
}

// admits says whether a listener takes routes of that kind and namespace.
func (b *builder) admits(l *listenerNode, route gwapi.Key) (why absence, sentence string) {
	if !l.takesKind(route.Kind) {
		if isOurs(l.gateway.class) && !slices.Contains(servedKinds, route.Kind) {
			return forbidden, fmt.Sprintf("a %s is not served by this version; %s are", route.Kind, joinTexts(servedKinds))
		}
		return forbidden, fmt.Sprintf("listener %s (protocol %s) takes no %s", l.spec.Name, l.spec.Protocol, route.Kind)
	}
	var labels map[string]string
	if l.namespaces.NeedsLabels() {
		key := gwapi.KeyOf(gwapi.KindNamespace, "", route.Namespace)
		b.ref(l.gateway.key, key)
		namespace, why, sentence := findStanding(b, key, b.snap.Namespaces)
		if why != present {
			return why, fmt.Sprintf("listener %s selects namespaces by label: %s", l.spec.Name, sentence)
		}
		if fault, broken := b.snap.Faults[key]; broken {
			return faulty, fmt.Sprintf("listener %s selects namespaces by label: %s is not usable: %s", l.spec.Name, key, fault)
		}
		labels = namespace.Labels
	}
	if !l.namespaces.Admits(route.Namespace, labels) {
		return forbidden, fmt.Sprintf("allowedRoutes.namespaces of listener %s does not admit namespace %s",
			l.spec.Name, route.Namespace)
	}
	return present, ""
}

// foreignListeners are the listeners of another controller's Gateway or of a
// ListenerSet on it, in the namespace, as far as paths need them.
func foreignListeners(node *gatewayNode, specs []gatewayv1.Listener, namespace string) (listeners []*listenerNode) {
	for i := range specs {
		listeners = append(listeners, newListener(node, &specs[i], namespace))
	}
	return listeners
}
