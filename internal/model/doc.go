// Package model holds the meaning of the API objects: which ports a Gateway
// serves, which rule sends a request to which backend, and what decides
// whether that backend's certificate is trusted. Plain values, immutable once
// built, slices sorted; no Kubernetes type but names, no Envoy type.
package model
