package loop

import (
	"time"

	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Witness is told of every build: what came of it, one of the outcomes, and what
// was observed when it was made. It is told before the statuses are put, and must
// neither block nor change what it gets.
type Witness interface {
	Built(result resolve.Result, observed snapshot.Observed, outcome string, took time.Duration)
}

// The outcomes of a build.
const (
	// Whole: everything was decided and handed on.
	Whole = "whole"
	// Waiting: contents that are named were not read yet, and nothing was handed on.
	Waiting = "waiting"
	// Partial: some Gateway could not be decided.
	Partial = "partial"
)

// tell tells the witness, if there is one, of a build that began then.
func (l *Loop) tell(result resolve.Result, observed snapshot.Observed, outcome string, began time.Time) {
	if l.Witness != nil {
		l.Witness.Built(result, observed, outcome, time.Since(began))
	}
}
