// Package resolve decides. Build turns a snapshot of the API's objects into
// the model that Envoy is programmed from, the statuses that say so, the
// objects it depended on and the next time at which the answer changes. It is
// a pure function: no clock (Snapshot.Now), no log, no client.
package resolve
