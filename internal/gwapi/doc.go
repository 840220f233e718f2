// Package gwapi holds the identity of Kubernetes objects and the rules of the
// Gateway API that need nothing but two objects to decide: which parentRef
// means which listener, how hostnames match and intersect, which route rule
// wins, and whether a ReferenceGrant permits a reference across namespaces.
//
// It knows the API's types and label selectors, and must not import a client.
package gwapi
