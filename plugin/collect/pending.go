package collect

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// manyNamespaces is how many namespaces are listed one by one before one list of
// all is asked for instead.
const manyNamespaces = 16

// pending lists what has to be read yet, given what was read so far: objects
// that others name, and lists of the namespaces in question. Each is given once.
func (c *collector) pending(world *World) []gwapi.Key {
	wanted := map[gwapi.Key]bool{}
	concerned := c.concerned(world)
	for key := range world.refs {
		if c.wantsNamed(world, key, concerned) {
			wanted[key] = true
		}
	}
	for key := range mentioned(world.Snapshot) {
		if _, hidden := world.Hidden(key.Kind, key.Namespace); hidden {
			wanted[key] = true
		}
	}
	if c.config.SystemRoots {
		wanted[systemRoots] = true
	}
	c.wantEndpoints(wanted, concerned)
	for key := range wanted {
		if _, known := c.objects[key]; known || c.tried[key] || c.unserved[key.Kind] {
			delete(wanted, key)
			continue
		}
		c.tried[key] = true
	}
	c.limitConfigMaps(concerned)
	return slices.SortedFunc(maps.Keys(wanted), gwapi.CompareKeys)
}

// wantsNamed says whether an object that Build looked for is read by name:
// ConfigMaps of the namespaces in question, and what could not be listed.
func (c *collector) wantsNamed(world *World, key gwapi.Key, concerned map[string]bool) bool {
	switch key.Kind {
	case gwapi.KindConfigMap:
		if key == systemRoots {
			return c.config.AllNamespaces || asksForSystem(world, concerned)
		}
		return c.config.AllNamespaces || concerned[key.Namespace]
	case gwapi.KindClusterTrustBundle:
		return true
	case gwapi.KindSecret:
		return false
	default:
		_, hidden := world.Hidden(key.Kind, key.Namespace)
		return hidden
	}
}

// asksForSystem says whether a policy of the namespaces in question trusts the
// system's roots.
func asksForSystem(world *World, concerned map[string]bool) bool {
	return slices.ContainsFunc(world.Snapshot.TLSPolicies.Sorted(), func(policy *gatewayv1.BackendTLSPolicy) bool {
		known := policy.Spec.Validation.WellKnownCACertificates
		return concerned[policy.Namespace] && known != nil && *known == gatewayv1.WellKnownCACertificatesSystem
	})
}

// concerned are the namespaces of the Services that the config's namespace has
// to do with: its own, and those that its routes and Gateways lead to.
func (c *collector) concerned(world *World) map[string]bool {
	namespaces := map[string]bool{c.config.Namespace: true}
	for _, path := range world.Result.Paths {
		if path.Gateway.Namespace == c.config.Namespace || path.Route.Namespace == c.config.Namespace {
			namespaces[path.Service.Namespace] = true
		}
	}
	return namespaces
}

// wantEndpoints asks for the EndpointSlices of the namespaces in question.
func (c *collector) wantEndpoints(wanted map[gwapi.Key]bool, concerned map[string]bool) {
	everywhere := gwapi.Key{Kind: gwapi.KindEndpointSlice}
	if c.config.AllNamespaces || c.tried[everywhere] {
		return
	}
	if len(concerned) > manyNamespaces {
		wanted[everywhere] = true
		return
	}
	for namespace := range concerned {
		wanted[gwapi.KeyOf(gwapi.KindEndpointSlice, namespace, "")] = true
	}
}

// limitConfigMaps says that the ConfigMaps of other namespaces were not looked
// at, because nobody asked about those.
func (c *collector) limitConfigMaps(concerned map[string]bool) {
	if c.config.AllNamespaces {
		return
	}
	c.unseen[snapshot.Scope{Kind: gwapi.KindConfigMap}] = "only what concerns namespace " + c.config.Namespace +
		" was asked for"
	var read []string
	if c.tried[systemRoots] {
		read = append(read, systemRoots.Namespace)
	}
	for namespace := range concerned {
		read = append(read, namespace)
	}
	for _, namespace := range read {
		scope := snapshot.Scope{Kind: gwapi.KindConfigMap, Namespace: namespace}
		if _, known := c.unseen[scope]; !known {
			c.unseen[scope] = ""
		}
	}
}

// mentioned are the objects that others name and Build does not look for by
// itself unless it knows the ones in between; without a name, a list: the
// ReferenceGrants of a namespace that is referred to from another.
func mentioned(snap *snapshot.Snapshot) map[gwapi.Key]bool {
	keys := map[gwapi.Key]bool{}
	for _, route := range routes(snap) {
		for i := range route.parents {
			if key, known := gwapi.ParentKey(&route.parents[i], route.namespace); known {
				keys[key] = true
			}
		}
		for i := range route.backends {
			mentionBackend(keys, route.namespace, &route.backends[i])
		}
	}
	for _, set := range snap.ListenerSets.Sorted() {
		parent := set.Spec.ParentRef
		if gwapi.KindGateway.Is(parent.Group, parent.Kind, gatewayv1.GroupName, gwapi.KindGateway) {
			namespace := set.Namespace
			if parent.Namespace != nil {
				namespace = string(*parent.Namespace)
			}
			keys[gwapi.KeyOf(gwapi.KindGateway, namespace, string(parent.Name))] = true
		}
	}
	for _, gateway := range snap.Gateways.Sorted() {
		keys[gwapi.KeyOf(gwapi.KindGatewayClass, "", string(gateway.Spec.GatewayClassName))] = true
	}
	return keys
}

// route is what a route of any kind names.
type route struct {
	namespace string
	parents   []gatewayv1.ParentReference
	backends  []gatewayv1.BackendRef
}

func routes(snap *snapshot.Snapshot) []route {
	var list []route
	for _, r := range snap.HTTPRoutes.Sorted() {
		one := route{namespace: r.Namespace, parents: r.Spec.ParentRefs}
		for _, rule := range r.Spec.Rules {
			for _, backend := range rule.BackendRefs {
				one.backends = append(one.backends, backend.BackendRef)
			}
		}
		list = append(list, one)
	}
	for _, r := range snap.GRPCRoutes.Sorted() {
		one := route{namespace: r.Namespace, parents: r.Spec.ParentRefs}
		for _, rule := range r.Spec.Rules {
			for _, backend := range rule.BackendRefs {
				one.backends = append(one.backends, backend.BackendRef)
			}
		}
		list = append(list, one)
	}
	for _, r := range snap.TLSRoutes.Sorted() {
		for _, rule := range r.Spec.Rules {
			list = append(list, route{namespace: r.Namespace, parents: r.Spec.ParentRefs, backends: rule.BackendRefs})
		}
	}
	for _, r := range snap.TCPRoutes.Sorted() {
		for _, rule := range r.Spec.Rules {
			list = append(list, route{namespace: r.Namespace, parents: r.Spec.ParentRefs, backends: rule.BackendRefs})
		}
	}
	return list
}

// mentionBackend names a Service that a route leads to and, where that is in
// another namespace, the ReferenceGrants there.
func mentionBackend(keys map[gwapi.Key]bool, from string, backend *gatewayv1.BackendRef) {
	if !gwapi.KindService.Is(backend.Group, backend.Kind, corev1.GroupName, gwapi.KindService) {
		return
	}
	where := from
	if backend.Namespace != nil {
		where = cmp.Or(string(*backend.Namespace), from)
	}
	keys[gwapi.KeyOf(gwapi.KindService, where, string(backend.Name))] = true
	if where != from {
		keys[gwapi.KeyOf(gwapi.KindReferenceGrant, where, "")] = true
	}
}
