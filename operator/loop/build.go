package loop

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// build runs resolve.Decide. It has no business panicking, but it reads what
// strangers wrote; if it does, each Gateway is built alone, so that the one
// that cannot be built loses its clusters (what their trust should be is
// unknown, so they answer 500) and the others go on. Statuses are then not
// whole and stay as they are.
func (l *Loop) build(snap *snapshot.Snapshot) (result resolve.Result, whole bool) {
	result, err := l.try(snap)
	if err == nil {
		return result, true
	}
	l.Log.Error("cannot decide about all Gateways at once, trying each alone", "error", err)
	result = resolve.Result{Gateways: map[gwapi.Key]model.Gateway{}}
	for _, gateway := range snap.Gateways.Sorted() {
		key := gwapi.KeyOf(gwapi.KindGateway, gateway.Namespace, gateway.Name)
		alone := *snap
		alone.Gateways = snapshot.NewObjects(gateway)
		one, err := l.try(&alone)
		if err != nil {
			l.withdraw(key, err)
			// It is still ours: it keeps its Envoy, listeners and routes, if any.
			result.Gateways[key] = model.Gateway{Key: key, Digest: unknown, Unresolved: true}
			continue
		}
		if built, ours := one.Gateways[key]; ours {
			result.Gateways[key] = built
		}
		result.NextDeadline = earlier(result.NextDeadline, one.NextDeadline)
	}
	return result, false
}

// unknown is the digest of a Gateway that could not be built.
const unknown = "unknown"

func (l *Loop) try(snap *snapshot.Snapshot) (result resolve.Result, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("building: %v\n%s", cause, debug.Stack())
		}
	}()
	return l.decide(snap), nil
}

// withdraw takes every cluster from a Gateway whose trust is unknown.
func (l *Loop) withdraw(key gwapi.Key, err error) {
	l.Log.Error("gateway cannot be decided, its backends answer 500", "gateway", key.String(), "error", err)
	l.Publisher.Withdraw(key, func(string) bool { return false })
	l.published[key] = publication{digest: unknown}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
