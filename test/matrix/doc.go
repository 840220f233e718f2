// Package matrix proves docs/verification-matrix.md: every kind of trust in
// every mode against every kind of certificate. Each cell is a real
// BackendTLSPolicy, resolved and translated as the operator does it, a request
// through a real Envoy to a backend that presents the certificate, and what
// verify says of the same handshake. The two must agree, with each other and
// with the table in docs/policy.md; where Envoy does something that the table
// does not say, a note explains it. The page is written by
//
//	make golden
//
// The frontend's part, docs/frontend-matrix.md, is about clients: which of them
// get in with what certificate, and what backends are told.
package matrix
