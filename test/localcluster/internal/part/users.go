package part

// Users of the API server that Kubernetes has no roles for by itself.
const (
	DNSUser          = "system:coredns"
	LoadBalancerUser = "system:backendtls-load-balancer"
)
