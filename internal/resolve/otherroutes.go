package resolve

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// otherRoute is a route of a kind that our listeners do not take. Other
// controllers' may, and then it is a path to its backends.
type otherRoute struct {
	routeView

	// rules are the backends of each rule.
	rules [][]gatewayv1.BackendRef
}

// otherRoutes reads the TCPRoutes.
func (b *builder) otherRoutes() (routes []*otherRoute) {
	for _, object := range b.snap.TCPRoutes.Sorted() {
		route := &otherRoute{
			key:        gwapi.KeyOf(gwapi.KindTCPRoute, object.Namespace, object.Name),
			generation: object.Generation,
			parents:    object.Spec.ParentRefs,
			live:       object.Status.Parents,
		}
		for i := range object.Spec.Rules {
			route.rules = append(route.rules, object.Spec.Rules[i].BackendRefs)
		}
		b.attach(&route.routeView)
		routes = append(routes, route)
	}
	return routes
}

// listenerSets makes the listeners of ListenerSets on other controllers'
// Gateways, and reports on those on ours, which are not served.
func (b *builder) listenerSets() {
	for _, set := range b.snap.ListenerSets.Sorted() {
		key := gwapi.KeyOf(gwapi.KindListenerSet, set.Namespace, set.Name)
		gateway := setParent(set)
		if node := b.foreign[gateway]; node != nil {
			specs := make([]gatewayv1.Listener, len(set.Spec.Listeners))
			for i := range set.Spec.Listeners {
				entry := &set.Spec.Listeners[i]
				specs[i] = gatewayv1.Listener{
					Name: entry.Name, Hostname: entry.Hostname, Port: entry.Port, Protocol: entry.Protocol,
					TLS: entry.TLS, AllowedRoutes: entry.AllowedRoutes,
				}
			}
			b.sets[key] = foreignListeners(node, specs, set.Namespace)
			continue
		}
		if b.byKey[gateway] == nil {
			continue
		}
		why := fmt.Sprintf("ListenerSets are not served; put the listeners into the spec of %s", gateway)
		b.reports[key] = report.Report{
			Generation: set.Generation,
			Conditions: []metav1.Condition{report.ListenerSetNotServed(why), report.ProgrammedInvalid(why)},
		}
	}
}

// setParent is the Gateway that a ListenerSet belongs to; the zero Key for
// another kind.
func setParent(set *gatewayv1.ListenerSet) gwapi.Key {
	parent := &set.Spec.ParentRef
	if !gwapi.KindGateway.Is(parent.Group, parent.Kind, gatewayv1.GroupName, gwapi.KindGateway) {
		return gwapi.Key{}
	}
	namespace := set.Namespace
	if parent.Namespace != nil && *parent.Namespace != "" {
		namespace = string(*parent.Namespace)
	}
	return gwapi.KeyOf(gwapi.KindGateway, namespace, string(parent.Name))
}
