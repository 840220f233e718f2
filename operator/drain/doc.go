// Package drain ends an Envoy's work without failing a request: it is what the
// preStop hook of an Envoy container runs, in a pod that was told to end (until
// it returns, kubelet sends Envoy no signal), and what a standalone operator does
// before it stops an Envoy.
//
// It speaks to Envoy over its admin socket, which nobody outside the container
// can reach, and knows nothing else of Kubernetes. Envoy's image has no shell
// and no client of its own, so the program is put beside it by Install.
package drain
