package status

import "time"

// Remembered is of how many objects the Writer remembers what it wants to say, and
// what it wanted to say before they were not reported on any more.
func (w *Writer) Remembered() (now, before int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.compared), len(w.retired)
}

// Impatient has a kind that is not installed asked for all the time.
func (w *Writer) Impatient() { w.pace.absent = 10 * time.Millisecond }
