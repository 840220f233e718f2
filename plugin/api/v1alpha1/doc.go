// Package v1alpha1 is what `kubectl backendtls -o json|yaml|jsonpath` prints:
// the kinds of the group cli.backendtls.dev. Scripts read them, so changes are
// additive only; docs/schemas holds their JSON Schemas, which a test derives
// from this source. Text that comes from certificates, statuses and files has
// been cleaned by plugin/untrusted; fingerprints and PEM are exact.
package v1alpha1
