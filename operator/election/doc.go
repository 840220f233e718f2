// Package election decides which replica of the operator writes: the one that
// holds the Lease. Losing it never ends the process, because a replica serves
// Envoys whether it leads or not; it stops writing and campaigns again. It
// knows the API for Leases and nothing of what leading is good for.
package election
