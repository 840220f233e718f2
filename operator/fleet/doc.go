// Package fleet runs the Envoys of each Gateway in a cluster: a Deployment, its
// Service, ServiceAccount, ConfigMap, PodDisruptionBudget and NetworkPolicy, all
// of one name in the Gateway's namespace and owned by the Gateway.
//
// Render says, without a cluster, what these objects are. A Fleet brings them
// about by server-side apply, whenever what is desired or what is there has
// changed; only the leader writes. It deletes nothing: the garbage collector
// follows the owner references. An object of that name which is not the
// Gateway's own is left alone, and the Gateway's status says so.
//
// Every replica reads: which Envoys exist (Envoys), which Gateway a pod serves
// (Lookup), and where each Gateway is reached (Addresses). The package knows
// nothing of routes and trust; Envoys hear of those over xDS.
package fleet
