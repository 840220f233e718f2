// Package cluster holds the tests of the operator as people install it: on a
// real API server, kubelet and Envoy, under the shipped manifests and roles.
// `make test-cluster` brings up the local cluster and runs them; they run
// nowhere else. It must not import rooms of the operator but what they render:
// it sees what a user of the cluster sees.
package cluster
