// Package pki makes the certificates of one cluster: throw-away authorities,
// whose keys never leave the cluster's directory, and what they sign.
package pki
