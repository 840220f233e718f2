// Package ledger makes one ledger of those that the replicas of the operator
// keep: what every Envoy acknowledged and may be using, whichever replica it is
// connected to.
//
// What is known here: every replica serves its own ledger to the other pods of
// the operator, over TLS with the control plane's certificates, to callers whose
// token proves that they are such pods, and reads theirs. A stream begins with
// the whole ledger and goes on with the records that changed; several changes
// are one message. A replica that is silent for some seconds has vanished, and
// with the stream everything it said is forgotten: its Envoys then count as not
// acknowledged until they are heard through another one. Nothing here can make
// more of an Envoy's word than the Envoy said.
//
// It must not import another room of the operator. Example:
//
//	all, err := ledger.New(ledger.Config{Local: server, Peers: pods, Authenticator: operators, ...})
//	go all.Run(ctx, listener)
//	envoys := all.Envoys()
package ledger
