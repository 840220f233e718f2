package session

import "slices"

// mostNotices is how many are kept; the oldest go first.
const mostNotices = 10

// Notice takes in a warning of the API server, which came with an answer to
// anything, for the States to show. Each is said once.
func (s *Session) Notice(text string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if slices.Contains(s.said, text) {
		return
	}
	s.said = append(s.said, text)
	s.said = s.said[max(0, len(s.said)-mostNotices):]
	select {
	case s.noticed <- struct{}{}:
	default: // One is waiting to be read, which covers this one too.
	}
}

func (s *Session) notices() []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.said)
}
