package files

import "time"

// Hasten makes the slow waits of a Source short, for tests that are about what
// happens after them. Settling stays as it is.
func Hasten(source *Source) {
	source.pace.rescan = 100 * time.Millisecond
	source.pace.retry = 20 * time.Millisecond
	source.pace.writing = 300 * time.Millisecond
}

// Settle is how long a file must rest.
func Settle() time.Duration { return usualPace.settle }

// BeingWritten is what keeps a file from being read.
func BeingWritten(path string) bool { return beingWritten(path) }

// RelyOnEvents leaves out the looks without an event, which would find what no
// event told.
func RelyOnEvents(source *Source) { source.pace.rescan = time.Hour }
