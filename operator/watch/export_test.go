package watch

import "time"

// Missing is how long a Source that was hastened waits before it asks again for
// what it could not read.
const Missing = 20 * time.Millisecond

// Hasten makes a Source wait little for what tests wait for.
func (s *Source) Hasten(patience time.Duration) {
	s.pace = pace{
		sync: 2 * time.Millisecond, missing: Missing, recheck: 20 * time.Millisecond,
		patience: patience, attempt: patience / 2,
		soon: 5 * time.Millisecond, later: 20 * time.Millisecond, latest: 40 * time.Millisecond,
	}
}

// Transform is what the cache does with each object that it receives.
var Transform = transform

// Narrow sets how many changes of objects that nobody named cause a build, and
// has to be called before there is one.
func (s *Source) Narrow(room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = room
}

// Bound sets how many bytes of the contents of a namespace are kept.
func (s *Source) Bound(bytes int) { s.contents.budget = bytes }
