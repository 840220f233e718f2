// Package rights compares what roles grant with what was asked of the API
// server, as its audit log has it: a right that nobody used is superfluous, and
// a request that was forbidden lacks one. It reads roles and log lines and
// nothing else, so it needs no cluster.
//
// A log of level Metadata is enough. What an apply (a patch of type apply) made
// anew counts as a create too, because the API server asks for that right
// without logging it as a request of its own.
package rights
