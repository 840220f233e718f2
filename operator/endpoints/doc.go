// Package endpoints is the fast path from an EndpointSlice to Envoy: a slice
// changes one Service, a Service has a few clusters, and nothing else is
// touched. It runs beside the loop, which only tells it which clusters exist.
package endpoints
