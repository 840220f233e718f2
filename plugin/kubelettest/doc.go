// Package kubelettest is the port-forward of an API server and its kubelets in
// memory, for tests: both upgrades, websocket and SPDY, a pair of streams for
// each request, and the kubelet's words about a port that nothing listens on.
package kubelettest
