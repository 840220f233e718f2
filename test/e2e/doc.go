// Package e2e proves what is promised on real parts: the standalone operator,
// a real Envoy, real TLS backends on loopback addresses, real clients. Every
// test asserts what a client, a reader of status files or a reader of Envoy's
// statistics sees. The Envoy is the one that the environment variable ENVOY
// names; without it the tests fail.
package e2e
