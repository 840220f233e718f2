// Package apiservertest is an API server in memory for tests of what the plugin
// reads, follows
// and writes: get, list, watch, create, merge patch and server-side apply with the field
// management of the real one, generations, resourceVersions, preconditions and
// dry runs. It does not validate, and its authorization and admission are what a
// test says.
package apiservertest
