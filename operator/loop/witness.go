package loop

import (
	"time"

	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Witness is told of every build: what came of it, and what was observed when it
// was made. It is told before the statuses are put, and must
// neither block nor change what it gets.
type Witness interface {
	Built(result resolve.Result, observed snapshot.Observed, outcome resolve.Outcome, took time.Duration)
}

// tell tells the witness, if there is one, of a build that began then.
func (l *Loop) tell(result resolve.Result, observed snapshot.Observed, outcome resolve.Outcome, began time.Time) {
	if l.Witness != nil {
		l.Witness.Built(result, observed, outcome, time.Since(began))
	}
}
