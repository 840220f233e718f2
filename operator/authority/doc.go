// Package authority is the certificate authority (CA) of the control plane: who
// the operator's own servers are to Envoys, and to each other.
//
// What is known here: the CA is kept in one Secret, which the manifests ship
// empty and the leader fills; leaf certificates are made in memory, from
// whatever the Secret holds, by every replica for itself. A replica serves
// nothing before there is a CA. Who must trust the CA learns it late: the bundle
// travels through a ConfigMap, which the kubelet brings to a pod within some two
// minutes. A CA is therefore replaced in steps, all of which are in the Secret,
// so that any leader goes on where another one stopped:
//
//	ca ──► ca + next ─────► ca (was next) + previous ──────► ca
//	       next is trusted  next signs, previous is trusted  previous is forgotten
//	       for TrustFirst   for TrustAfter
//
// It must not import another room of the operator. Example:
//
//	ca, err := authority.Open(ctx, authority.Config{
//		Client: uncached, Namespace: "backendtls-system", Leading: election.Leading, ServerNames: names,
//	})
//	go ca.Run(ctx)
//	credentials.NewTLS(ca.TLSConfig())
package authority
