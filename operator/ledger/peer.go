package ledger

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/model"
)

// peer is another replica.
type peer struct {
	ledger *Ledger
	pod    Pod
	stop   context.CancelFunc
	log    *slog.Logger

	// current is the session whose words count, nil while none is whole. It is
	// under the ledger's lock.
	current *session
}

// heard are the records of the replica as it told them last, none while it is
// not heard. The ledger's lock is held.
func (p *peer) heard() map[recordID]model.Envoy {
	if p.current == nil {
		return nil
	}
	return p.current.records
}

// run keeps a session with the replica until ctx ends. A session is replaced
// while it lasts: the next one is whole before the old one is ended.
func (p *peer) run(ctx context.Context) {
	var current *session
	retry := p.ledger.timing.retry
	complaint := ""
	for ctx.Err() == nil {
		next := p.begin(ctx)
		wait := p.ledger.timing.renewal
		if next.becomesWhole() {
			if current == nil || complaint != "" {
				p.log.Info("hearing the ledger of another replica")
			}
			current.end()
			current, complaint, retry = next, "", p.ledger.timing.retry
		} else {
			complaint = p.complain(ctx, complaint, next.err)
			wait, retry = retry, min(2*retry, p.ledger.timing.maxRetry)
		}
		select {
		case <-ctx.Done():
		case <-current.ended():
			complaint = p.complain(ctx, complaint, current.err)
			current = nil
			pause(ctx, p.ledger.timing.retry)
		case <-time.After(wait):
		}
	}
	current.end()
}

// complain logs why the replica is not heard, when that is new.
func (p *peer) complain(ctx context.Context, before string, err error) string {
	now := status.Convert(err).Message()
	if ctx.Err() != nil || now == before {
		return before
	}
	level := slog.LevelWarn
	if status.Code(err) == codes.Unavailable {
		// It is not there yet, or any more.
		level = slog.LevelInfo
	}
	p.log.Log(ctx, level, "another replica is not heard, its Envoys count as not acknowledged", "reason", now)
	return now
}
