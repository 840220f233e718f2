// Package process runs the data plane of a standalone operator: one Envoy per
// Gateway as a child process, started with backoff, drained when its Gateway
// goes, and ended with its operator even when that is killed.
//
// It knows processes and sockets. What Envoy serves comes over xDS, through the
// unix socket that Fleet makes for each Gateway and hands to Config.Serve; a
// changed listener is no reason for a restart. It must not import a sibling:
// Config.Drain is how clients leave, and Lookup how the xDS server learns which
// Gateway a peer's process id stands for.
//
//	envoy, err := process.Check(ctx, "envoy")
//	fleet := process.New(process.Config{Envoy: envoy.Path, Serve: serve, Drain: drain, Log: log})
//	fleet.Put(gateways)
//	err = fleet.Run(ctx) // until ctx ends, then drains and stops every Envoy
package process
