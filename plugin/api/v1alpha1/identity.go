package v1alpha1

import "fmt"

// Identity tells a path from all others, whatever else of it changes. Identities
// sort by Service, port, Gateway, listener, route and rule.
func (p Path) Identity() string {
	name := func(reference *ObjectReference) string {
		if reference == nil {
			return ""
		}
		return reference.Kind + "/" + reference.Namespace + "/" + reference.Name
	}
	return fmt.Sprintf("%s/%s:%05d %s %s %s %05d", p.Service.Namespace, p.Service.Name, p.Service.Port,
		name(p.Gateway), p.Listener, name(p.Route), p.Rule)
}
