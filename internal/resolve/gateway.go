package resolve

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// gatewayNode is one Gateway while it is being built.
type gatewayNode struct {
	key    gwapi.Key
	object *gatewayv1.Gateway
	// class is nil where it is not known; then the Gateway is nobody's.
	class     *gatewayv1.GatewayClass
	listeners []*listenerNode
	// refused is Accepted=False of a Gateway of which nothing is served.
	refused *metav1.Condition
	address addressing
	// parameters bound the modes of policies here; their fault is the Gateway's.
	parameters parameterResult
	// identity is presented to backends whose policy names no other.
	identity identity
	// frontends are what is asked of the clients of each port looked at so far.
	frontends map[gatewayv1.PortNumber]*frontend
	// routes are attached to a listener at least, in the order of the snapshot.
	routes []*compiledRoute
	// backends are by name.
	backends map[string]model.Backend
	model    model.Gateway
	// order names the rules in the model's order, for its digest.
	order []byte
}

// served says whether an Envoy serves listeners of the Gateway.
func (g *gatewayNode) served() bool { return g.refused == nil && g.address.ip.IsValid() }

// controller is the class's controllerName, "" where the class is not known.
func (g *gatewayNode) controller() string {
	if g.class == nil {
		return ""
	}
	return string(g.class.Spec.ControllerName)
}

// collectGateways makes the nodes of all Gateways and decides what of ours
// would be served, before any route is looked at.
func (b *builder) collectGateways() {
	for _, object := range b.snap.Gateways.Sorted() {
		node := &gatewayNode{
			key:      gwapi.KeyOf(gwapi.KindGateway, object.Namespace, object.Name),
			object:   object,
			class:    b.classOf(object),
			backends: map[string]model.Backend{},
		}
		if !isOurs(node.class) {
			b.foreign[node.key] = node
			node.listeners = foreignListeners(node, object.Spec.Listeners, object.Namespace)
			continue
		}
		b.byKey[node.key] = node
		b.gateways = append(b.gateways, node)
		b.ref(node.key, gwapi.KeyOf(gwapi.KindGatewayClass, "", node.class.Name))
		node.parameters = b.parameters(object)
		node.identity = b.gatewayIdentity(object)
		b.listeners(node)
	}
	b.assignAddresses()
	for _, node := range b.gateways {
		node.refused = refuseGateway(node)
	}
	b.claimPorts()
}

// refuseGateway names the field that keeps a whole Gateway from being served,
// because doing without what it asks for would be less than was asked for.
func refuseGateway(node *gatewayNode) *metav1.Condition {
	spec := &node.object.Spec
	switch {
	case node.address.unsupported != "":
		return new(report.GatewayUnsupportedAddress(node.address.unsupported))
	case spec.DefaultScope != "" && spec.DefaultScope != gatewayv1.GatewayDefaultScopeNone:
		return new(report.GatewayInvalid(fmt.Sprintf("spec.defaultScope: %q is not supported; leave it out or set %s",
			spec.DefaultScope, gatewayv1.GatewayDefaultScopeNone)))
	default:
		return nil
	}
}

// byAge orders our Gateways the oldest first: who was there first keeps an
// address or a port.
func (b *builder) byAge() []*gatewayNode {
	return slices.SortedFunc(slices.Values(b.gateways), func(x, y *gatewayNode) int {
		return cmp.Or(
			x.object.CreationTimestamp.Compare(y.object.CreationTimestamp.Time),
			gwapi.CompareKeys(x.key, y.key),
		)
	})
}
