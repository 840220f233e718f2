// Package conformance runs the Gateway API's own conformance suite on the
// operator as people install it, and beside it cases of this project where a
// test of the suite would also pass for a wrong reason. `make conformance` runs
// it, see docs/conformance.md. It is a module of its own, because the suite
// needs modules that nothing else here does, and it imports nothing of the
// operator: it sees what a user of the cluster sees.
package conformance
