// Package tlsprobe makes one TLS handshake with an endpoint and notes what it
// shows: the chain, the version, what was negotiated, or what the endpoint is
// instead of a TLS server. It trusts nothing and judges nothing: verify does. No
// application data is sent and none is read.
//
// The clock and the dialer are injected, so the operator dials pods directly and
// the plugin through the API server. The package must not import Kubernetes.
//
//	prober := tlsprobe.Prober{Now: clock, Timeout: 5 * time.Second}
//	seen := prober.Probe(ctx, endpoint, "api.example.com")
package tlsprobe
