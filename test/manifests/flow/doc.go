// Package flow says which connections a set of NetworkPolicies lets through, by
// the rules of the NetworkPolicy API: a pod that no policy selects for a
// direction is open in it; one that is selected is open only to what any of
// those policies allows; a connection needs both of its ends to allow it.
//
// What the API leaves to the network (whether an ipBlock can mean a pod) is a
// choice of the caller. Traffic between a pod and its own node, which the API
// always allows, is no subject here.
package flow
