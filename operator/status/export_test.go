package status

import "time"

// Impatient has a kind that is not installed asked for all the time.
func (w *Writer) Impatient() { w.pace.absent = 10 * time.Millisecond }
