// Package tunnel gets observations from endpoints: which are asked, at most how
// many at once, each only once, and by which way: directly, or through the API
// server's port-forward without a local listener. The handshakes themselves are
// tlsprobe's.
package tunnel
