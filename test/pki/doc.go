// Package pki makes certificates for tests and for the demo: self-signed ones,
// authorities, intermediates and leaves, right and wrong in every way that a
// backend's certificate can be wrong. It reads no clock: validity times are the
// caller's. Keys are random and the private keys stay in memory.
//
//	root, err := pki.SelfSigned(pki.Request{Name: "root", CA: true, NotBefore: from, NotAfter: to})
//	leaf, err := root.Issue(pki.Request{Name: "api", DNS: []string{"api.example.com"}, NotBefore: from, NotAfter: to})
//	config := &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}
package pki
