// Package watch is where objects come from in a cluster: it follows the API
// server through a controller-runtime cache and makes Snapshots of what it
// reads.
//
// A Source keeps every object at its newest and says in Changes when one
// changed in a way that a build reads; its own operator's status writes are
// none. EndpointSlices go to an EndpointSink, Service by Service, and are no
// Change. Of Secrets and ConfigMaps only metadata is watched: contents are read
// by name, of those that a build named (Need), and what cannot be read within
// some seconds is a Fault in the Snapshot. Where the API server is away, the
// Snapshot stays as it is; where CustomResourceDefinitions are missing, the
// Source says so and waits for them. ClusterTrustBundles alone are waited for by
// nobody, and forgotten once they can be read no longer: they are nothing but trust.
//
// Objects in a Snapshot belong to the cache and are never modified. It knows
// gwapi, snapshot and report, and no other room of the operator.
//
//	objects, err := watch.NewCache(config, log)
//	source := watch.New(watch.Config{Cache: objects, Client: reader, Log: log, Endpoints: sink})
//	go objects.Start(ctx)
//	go source.Run(ctx)
//	for range source.Changes() { result := build(source.Snapshot()); source.Need(result.Refs) }
package watch
