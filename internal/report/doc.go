// Package report holds desired statuses as values: one file per kind, a
// constructor per condition that fixes type, status, reason and the form of
// the message in one place, and Merge, which puts our entries into a live
// status without touching anybody else's. It must not import the model or a
// client.
package report
