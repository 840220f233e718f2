// Package assess puts together what is said about a path, an endpoint or a
// certificate: what the operator wrote in status, what its Build makes of the
// objects, what verify decides about the chains that were observed, why in
// plain words, and what would fix it. It is pure: worlds and observations in,
// values of plugin/api out, every text of a stranger cleaned on the way.
package assess
