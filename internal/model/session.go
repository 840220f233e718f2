package model

import "time"

// DefaultSessionLimit is how long a request over a connection with a trust may
// last, upgraded ones included, and a session of a TLS listener, if nobody says
// otherwise. Envoy judges a backend's certificate in the handshake alone, and what
// is under way when a trust is taken away goes on until its own end (measured with
// Envoy 1.40: also after the cluster was removed). So this bounds how long a
// trust that is gone, or a certificate that has expired since, stays in use. A day
// is long enough for websockets, event streams and uploads that mean no harm.
const DefaultSessionLimit = 24 * time.Hour

// InsecureSessionLimit is the most for requests over a connection that is checked
// less than written: an insecure mode ends at a time, and soon after it should
// have ended for what was under way too.
const InsecureSessionLimit = time.Hour

// MirrorLimit is the most for a copy of a request. Its answer is thrown away, so
// nobody notices one that never comes, and nobody but Envoy could end it.
const MirrorLimit = time.Minute

// NoSessionLimit is the limit of what may last forever.
const NoSessionLimit time.Duration = -1

// LimitSession is how long a session may last at a limit of the model, in which 0
// means the default, under a mode; 0 for ever.
func LimitSession(limit time.Duration, mode Mode) time.Duration {
	if limit == 0 {
		limit = DefaultSessionLimit
	}
	if mode.Insecure() && (limit < 0 || limit > InsecureSessionLimit) {
		return InsecureSessionLimit
	}
	return max(limit, 0)
}
