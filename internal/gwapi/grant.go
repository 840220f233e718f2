package gwapi

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// Allowed says whether an object may refer to another: always within a
// namespace, and across namespaces only where one of the grants permits it. It
// is the only place that decides so. Grants outside the namespace of the
// referent do not count (gateway-api v1.7.0, ReferenceGrant).
func Allowed(grants []*gatewayv1.ReferenceGrant, from, to Key) bool {
	if from.Namespace == to.Namespace {
		return true
	}
	for _, grant := range grants {
		if grant.Namespace == to.Namespace && grantsFrom(grant, from) && grantsTo(grant, to) {
			return true
		}
	}
	return false
}

func grantsFrom(grant *gatewayv1.ReferenceGrant, from Key) bool {
	for i := range grant.Spec.From {
		entry := &grant.Spec.From[i]
		if string(entry.Group) == from.Kind.Group() && string(entry.Kind) == string(from.Kind) &&
			string(entry.Namespace) == from.Namespace {
			return true
		}
	}
	return false
}

func grantsTo(grant *gatewayv1.ReferenceGrant, to Key) bool {
	for i := range grant.Spec.To {
		entry := &grant.Spec.To[i]
		if string(entry.Group) != to.Kind.Group() || string(entry.Kind) != string(to.Kind) {
			continue
		}
		// CRD validation lets an empty name through; it means what an absent one does.
		if entry.Name == nil || *entry.Name == "" || string(*entry.Name) == to.Name {
			return true
		}
	}
	return false
}
