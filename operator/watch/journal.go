package watch

import (
	"log/slog"
	"sync"
	"time"
)

// again is how long the same trouble is not mentioned again.
const again = 5 * time.Minute

// journal says what goes wrong, and about the same subject rarely.
type journal struct {
	log  *slog.Logger
	mu   sync.Mutex
	said map[string]time.Time
}

func newJournal(log *slog.Logger) *journal {
	return &journal{log: log, said: map[string]time.Time{}}
}

// due says whether the subject is to be mentioned: not if it was a short time
// ago.
func (j *journal) due(subject string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	last, known := j.said[subject]
	if known && time.Since(last) < again {
		return false
	}
	j.said[subject] = time.Now()
	return true
}

// warn logs if the subject is due.
func (j *journal) warn(subject, message string, args ...any) {
	if j.due(subject) {
		j.log.Warn(message, args...)
	}
}

// err logs if the subject is due.
func (j *journal) err(subject, message string, args ...any) {
	if j.due(subject) {
		j.log.Error(message, args...)
	}
}

// over makes the subject due again, and says whether it was mentioned.
func (j *journal) over(subject string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, said := j.said[subject]
	delete(j.said, subject)
	return said
}
