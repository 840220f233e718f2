// Package envoy writes the model in Envoy's words: Translate for clusters,
// listeners, routes and secrets, Endpoints for assignments, Bootstrap for the
// process. One file per xDS type, one constructor per Envoy concept.
//
// Three rules hold for everything that leaves it. An upstream TLS context
// passed the assertions of assert.go, on the finished message. A backend or
// rule that cannot be written is answered with 500, alone, and named in a
// Fault; never is it written without what could not be. The same model gives
// the same bytes.
//
// It must not know Kubernetes, beyond the keys that name objects. Example:
//
//	resources, faults := envoy.Translate(gateway)
package envoy
