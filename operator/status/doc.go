// Package status brings the desired statuses to the API server: a
// level-triggered writer, keyed by object, that reads the live object from the
// cache, merges our entries into it and writes it with its resourceVersion. It
// never waits on the loop, never touches anybody else's entries, and writes
// nothing where nothing would change. It knows reports and the kinds that carry
// a status; what the reports say is not its business.
package status
