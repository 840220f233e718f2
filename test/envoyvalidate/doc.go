// Package envoyvalidate lets a real Envoy judge configurations: `envoy --mode
// validate` loads everything as it would when starting, certificates and
// regular expressions included, and binds nothing.
package envoyvalidate
