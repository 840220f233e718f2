// Package manifests holds the tests of what manifests/ ships: that it parses
// strictly, that its pods and those of the fleet pass Pod Security restricted,
// which flows its network policies let through, what its roles grant, and what
// its admission policy refuses. They need no cluster.
//
// It imports whatever it judges, the operator's fleet among it, and nothing
// imports it but tests.
package manifests
