// Package metrics turns what was built and observed into numbers for a
// Prometheus: what each policy comes to, what live checks found, how many Envoys
// of each Gateway do what they should, and how building goes. Series are made
// from the last build when they are asked for, so that they vanish with the
// object they are about. No text that somebody else chose is a label value but
// the names of objects and ports.
//
// What concerns an object is told by the replica that leads alone: every replica
// builds the same, and sums over replicas would count it twice.
package metrics
