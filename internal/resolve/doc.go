// Package resolve decides. Build turns a snapshot of the API's objects into
// the model that Envoy is programmed from, the statuses that say so, the
// objects it depended on and the next time at which the answer changes. It is
// a pure function: no clock (Snapshot.Now), no log, no client, and it must not
// know Envoy.
//
// There is a file per kind of object. Build goes through them in the order of
// dependence: classes, Gateways and their listeners, routes, the ports that
// routes reach, the policies on those ports, then models, then statuses. What
// is asked for and not served is refused by name, and the requests it is about
// get a 500, so that nothing wider takes them.
//
//	result := resolve.Build(snap)
//	for key, gateway := range result.Gateways { ... }
package resolve
