package collect

import "github.com/backendtls/backendtls/internal/gwapi"

// Missing is a right that lacks.
type Missing struct {
	Verb string
	Kind gwapi.Kind
	// Resource is with its group, as RBAC and kubectl name it.
	Resource string
	// Namespace is "" for all of them, or for a kind without.
	Namespace string
	// Name is "" for a list.
	Name string
}

// String is the right in words: "list gateways.gateway.networking.k8s.io in
// namespace shop".
func (m Missing) String() string {
	text := m.Verb + " " + m.Resource
	if m.Name != "" {
		text += "/" + m.Name
	}
	if m.Namespace != "" {
		text += " in namespace " + m.Namespace
	}
	return text
}

// Missing are the rights without which something of a cluster stayed unread. A
// list of all namespaces in place of which one could be read names that one's
// neighbors only, and is not among them.
func (w *World) Missing() []Missing { return w.missing }

// missing are the refusals after which nothing was read.
func (c *collector) missing() []Missing {
	var list []Missing
	for _, r := range c.refusals {
		if r.fallback != "" {
			continue
		}
		right := Missing{
			Verb: r.verb, Kind: r.resource.kind, Resource: r.resource.qualified(), Namespace: r.namespace, Name: r.name,
		}
		if right.Namespace == "" && right.Name == "" && !r.resource.cluster {
			right.Namespace = c.config.Namespace // That would do.
		}
		list = append(list, right)
	}
	return list
}
