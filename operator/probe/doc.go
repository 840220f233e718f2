// Package probe looks at the live certificates of backends: one TLS handshake
// per endpoint and interval, by the replica that leads, within a rate. What it
// finds is judged under the policies as written and becomes status, metrics and
// Events; it never moves traffic.
//
// It dials only addresses that a Pod of the Service's own namespace has for
// itself, sends no application data and has no client key. It must not import
// its siblings.
package probe
