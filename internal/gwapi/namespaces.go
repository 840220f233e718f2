package gwapi

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// NamespaceRule is which namespaces a listener takes routes from.
type NamespaceRule struct {
	from      gatewayv1.FromNamespaces
	namespace string
	selector  labels.Selector
}

// NamespacesOf reads allowedRoutes.namespaces of a listener of a Gateway in
// the namespace; absent means Same. A value that cannot be understood is an
// error, and the rule then admits nothing.
func NamespacesOf(allowed *gatewayv1.AllowedRoutes, namespace string) (NamespaceRule, error) {
	rule := NamespaceRule{from: gatewayv1.NamespacesFromSame, namespace: namespace, selector: labels.Nothing()}
	if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.From == nil {
		return rule, nil
	}
	rule.from = *allowed.Namespaces.From
	switch rule.from {
	case gatewayv1.NamespacesFromAll, gatewayv1.NamespacesFromSame, gatewayv1.NamespacesFromNone:
		return rule, nil
	case gatewayv1.NamespacesFromSelector:
		if allowed.Namespaces.Selector == nil {
			return rule, fmt.Errorf("allowedRoutes.namespaces.selector is required where from is Selector")
		}
		selector, err := metav1.LabelSelectorAsSelector(allowed.Namespaces.Selector)
		if err != nil {
			return rule, fmt.Errorf("allowedRoutes.namespaces.selector: %w", err)
		}
		rule.selector = selector
		return rule, nil
	default:
		unknown := rule.from
		rule.from = gatewayv1.NamespacesFromNone
		return rule, fmt.Errorf("allowedRoutes.namespaces.from: %q is not one of All, Selector, Same", unknown)
	}
}

// NeedsLabels says whether Admits looks at labels.
func (r NamespaceRule) NeedsLabels() bool { return r.from == gatewayv1.NamespacesFromSelector }

// Admits says whether routes of the namespace, which has the labels, may attach.
func (r NamespaceRule) Admits(namespace string, namespaceLabels map[string]string) bool {
	switch r.from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == r.namespace
	case gatewayv1.NamespacesFromSelector:
		return r.selector.Matches(labels.Set(namespaceLabels))
	case gatewayv1.NamespacesFromNone:
		return false
	default:
		return false
	}
}
