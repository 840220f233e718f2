// Package snapshot is the input of resolve.Build: every object as it was read,
// what was observed of the data plane, where the program runs, and the time.
// A Snapshot is immutable; With and Without share what did not change. It
// must not import a client, and the objects in it are never modified.
package snapshot
