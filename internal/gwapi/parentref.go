package gwapi

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// ParentKey is the object that a parentRef of a route in the namespace names;
// ok is false for kinds that are no parent to this project (a mesh's Service).
func ParentKey(ref *gatewayv1.ParentReference, namespace string) (key Key, ok bool) {
	if ref.Namespace != nil && *ref.Namespace != "" {
		namespace = string(*ref.Namespace)
	}
	for _, kind := range [...]Kind{KindGateway, KindListenerSet} {
		if kind.Is(ref.Group, ref.Kind, gatewayv1.GroupName, KindGateway) {
			return KeyOf(kind, namespace, string(ref.Name)), true
		}
	}
	return Key{}, false
}

// SelectsListener says whether a parentRef, which names the Gateway, selects
// the listener of that name and port: both must agree where both are given
// (gateway-api v1.7.0, ParentReference.port).
func SelectsListener(ref *gatewayv1.ParentReference, listener gatewayv1.SectionName, port gatewayv1.PortNumber) bool {
	if ref.SectionName != nil && *ref.SectionName != "" && *ref.SectionName != listener {
		return false
	}
	return ref.Port == nil || *ref.Port == 0 || *ref.Port == port
}

// SameParentRef says whether two parentRefs in objects of one namespace mean
// the same, however much of it they leave to inference. Route parents and
// policy ancestors are told apart by it.
func SameParentRef(a, b *gatewayv1.ParentReference, namespace string) bool {
	return normalParentRef(a, namespace) == normalParentRef(b, namespace)
}

type parentRef struct {
	group, kind, namespace, name, section string
	port                                  gatewayv1.PortNumber
}

func normalParentRef(ref *gatewayv1.ParentReference, namespace string) parentRef {
	return parentRef{
		group:     valueOr(ref.Group, gatewayv1.GroupName),
		kind:      valueOr(ref.Kind, gatewayv1.Kind(KindGateway)),
		namespace: valueOr(ref.Namespace, gatewayv1.Namespace(namespace)),
		name:      string(ref.Name),
		section:   valueOr(ref.SectionName, ""),
		port:      portOr(ref.Port),
	}
}

func valueOr[T ~string](value *T, inferred T) string {
	if value == nil {
		return string(inferred)
	}
	return string(*value)
}

func portOr(port *gatewayv1.PortNumber) gatewayv1.PortNumber {
	if port == nil {
		return 0
	}
	return *port
}
