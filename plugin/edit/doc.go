// Package edit knows what pin, unpin and skip-verify change in a
// BackendTLSPolicy and in the ConfigMap beside it. Deciding is pure, from the
// policy and what its endpoints serve to an Edit; writing puts an Edit into the
// text of a manifest and several files in place at once. It asks no endpoint
// and no person.
package edit
