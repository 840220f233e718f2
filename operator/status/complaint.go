package status

import (
	"log/slog"
	"sync"
	"time"
)

// complaints logs that something fails without a line for every object that it
// fails for.
type complaints struct {
	log *slog.Logger
	now func() time.Time

	mu sync.Mutex
	// last is when each sentence was last said, and silent how often it was not
	// since.
	last   map[string]time.Time
	silent map[string]int
}

// say logs a sentence, at the most once in saidAgainIn.
func (c *complaints) say(sentence string, err error, attributes ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if last, said := c.last[sentence]; said && now.Sub(last) < saidAgainIn {
		c.silent[sentence]++
		return
	}
	if c.last == nil {
		c.last, c.silent = map[string]time.Time{}, map[string]int{}
	}
	attributes = append(attributes, "error", err)
	if silent := c.silent[sentence]; silent > 0 {
		attributes = append(attributes, "timesSinceLastSaid", silent)
	}
	c.last[sentence], c.silent[sentence] = now, 0
	c.log.Error(sentence, attributes...)
}
