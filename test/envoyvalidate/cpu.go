package envoyvalidate

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CPU is how long the threads of this Envoy have run on a processor: unlike a
// clock it does not count the time in which others had it.
func (r *Running) CPU(tb testing.TB) time.Duration {
	tb.Helper()
	// The first number is nanoseconds on the processor (Documentation/scheduler/
	// sched-stats.rst of Linux).
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", r.pid))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no threads of process %d: %v", r.pid, err)
	}
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // The thread has ended.
		}
		var nanoseconds int64
		if _, err := fmt.Sscan(string(text), &nanoseconds); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		total += time.Duration(nanoseconds)
	}
	return total
}
