// Package events writes an Event of events.k8s.io for each change of a policy's
// SecurityDegraded or BackendsVerified that was written into its status. The
// writer of statuses tells it of each once, after the write that the API server
// took, so only the leader has anything to tell. The name of an Event derives
// from what changed and from the version of the policy that was replaced:
// however often one is sent, there is one. Namespaces take turns, so that a flood
// of changes in one costs no other its Events.
package events
