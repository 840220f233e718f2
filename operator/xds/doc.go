// Package xds serves the Envoys of every Gateway their configuration: delta
// ADS only, to peers whose identity the transport proves, and keeps the ledger
// of what each Envoy has acknowledged.
//
// What is known here: one cache per (Gateway, type) whose versions are content
// hashes; one publisher per Gateway, which coalesces what it is asked for and
// opens each phase (clusters, then listeners and routes, then the removal of
// the clusters that they left) only when the one before was acknowledged or
// took too long; and one ledger per Gateway. Everything that belongs to one
// Gateway is under that Gateway's lock, and no lock is held while something is
// encoded, sent or waited for.
//
// go-control-plane's delta server is not used, only its messages. That server
// asks its cache for the next response of a type when the client has answered
// the last one, and Envoy answers a CDS response only when every cluster of it
// is warm: one cluster without endpoints would hold back the removal of
// another whose trust has ended. It also keeps the client's versions in a map
// that every request re-reads in full, which makes one endpoint cost as much
// as there are Services, and its responses cannot carry a time to live.
//
// It must not import another room of the operator. Example:
//
//	server, err := xds.New(xds.Config{Authenticator: children, Credentials: xds.UnixCredentials()})
//	go server.Serve(listener)
//	server.Publish(gateway, xds.Publication{Resources: resources, Shares: model.Shares})
package xds
