// Package envoytest shows what package envoy wrote: as YAML, for golden files,
// and as one static bootstrap, for `envoy --mode validate`. It is for tests
// only and must not be imported by anything else.
package envoytest
