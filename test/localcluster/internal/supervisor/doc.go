// Package supervisor is the one process of a cluster that outlives the command
// that made it. It owns the namespaces, starts, ends, freezes and thaws the
// parts when it is asked to over a socket, and by itself restarts nothing, so
// that a test that takes a part away decides when it returns.
package supervisor
