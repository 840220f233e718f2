// Package golden holds whole decisions: each directory of testdata is a case
// with the manifests that are given (in.yaml, and status.live.yaml where
// statuses were written before) and everything that follows from them, the
// model, the statuses and Envoy's configuration. They are written by
//
//	make golden
//
// and are read, difference by difference, before they are committed: a golden
// file proves nothing but that somebody agreed with it.
//
// The certificates in the manifests are those of testdata/certificates, valid
// from 2026-01-01 for a hundred years; the time of every case is 2026-11-21.
package golden
