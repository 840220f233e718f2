package watch

import (
	"context"
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

// say logs unless it did so about the subject a short time ago.
func (j *journal) say(subject string, now time.Time, level slog.Level, message string, args ...any) {
	j.mu.Lock()
	last, known := j.said[subject]
	quiet := known && now.Sub(last) < again
	if !quiet {
		j.said[subject] = now
	}
	j.mu.Unlock()
	if !quiet {
		j.log.Log(context.Background(), level, message, args...)
	}
}

// over forgets the subject, and tells whether there was trouble with it.
func (j *journal) over(subject string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, known := j.said[subject]
	delete(j.said, subject)
	return known
}
