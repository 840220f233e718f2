// Package envoy writes the model in Envoy's words: Translate for clusters,
// listeners, routes and secrets, Endpoints for assignments, Bootstrap for the
// process. One file per xDS type, one constructor per Envoy concept. Nothing
// leaves it without the assertions of docs/architecture.md on upstream TLS.
// It must not know Kubernetes.
package envoy
