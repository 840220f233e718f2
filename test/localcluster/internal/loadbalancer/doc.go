// Package loadbalancer gives Services of type LoadBalancer an address of the
// cluster's range, which the host reaches by its route; kube-proxy does the
// rest.
package loadbalancer
