package model

import "time"

// DefaultSessionLimit is how long a session may last that Envoy passes on as a
// stream of bytes (TLS listeners). A backend's certificate is judged in its
// handshake alone, and such a session has no requests at whose end another
// connection could take over: this bounds how long it may outlive a trust that
// has lapsed since, as connections in HTTP are bounded by their age. A change of
// the trust itself ends it sooner, when Envoy drains what the change replaced.
const DefaultSessionLimit = time.Hour
