package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// session is one stream from another replica.
type session struct {
	peer   *peer
	cancel context.CancelFunc
	// whole is closed when the first state was told to the end, done when the
	// stream has ended, because of err.
	whole, done chan struct{}
	err         error

	// records is what counts, under the ledger's lock.
	records map[recordID]model.Envoy
	// changes are what was told since; nil stands for a record that is gone.
	changes map[recordID]*model.Envoy
	// sizes are those of all records, in the words of the wire.
	sizes map[recordID]int
	size  int
}

func newSession(p *peer, cancel context.CancelFunc) *session {
	return &session{
		peer: p, cancel: cancel, whole: make(chan struct{}), done: make(chan struct{}),
		records: make(map[recordID]model.Envoy),
		changes: make(map[recordID]*model.Envoy),
		sizes:   make(map[recordID]int),
	}
}

// begin opens a session.
func (p *peer) begin(ctx context.Context) *session {
	ctx, cancel := context.WithCancel(ctx)
	s := newSession(p, cancel)
	go func() {
		defer close(s.done)
		defer cancel()
		s.err = s.run(ctx)
		s.forget()
	}()
	return s
}

// end ends a session, if there is one, and waits for that.
func (s *session) end() {
	if s != nil {
		s.cancel()
		<-s.done
	}
}

// ended is closed when the session has ended; for no session, never.
func (s *session) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

// becomesWhole waits until the session counts, or ended before it could.
func (s *session) becomesWhole() bool {
	select {
	case <-s.whole:
	case <-s.done:
	}
	select {
	case <-s.whole:
		return true
	default:
		return false
	}
}

// forget drops everything the session told.
func (s *session) forget() {
	l := s.peer.ledger
	l.mu.Lock()
	counted := s.peer.current == s
	if counted {
		s.peer.current = nil
	}
	l.mu.Unlock()
	if counted {
		l.changed()
	}
}

var errSilent = errors.New("nothing was heard for too long")

// run talks to the replica until either end stops.
func (s *session) run(ctx context.Context) error {
	l := s.peer.ledger
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(l.timing.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	// An address of a pod needs no resolver and no proxy.
	conn, err := grpc.NewClient("passthrough:///"+s.peer.pod.address(l.config.Port),
		grpc.WithTransportCredentials(credentials.NewTLS(l.config.ClientTLS())),
		grpc.WithPerRPCCredentials(tokenFile(l.config.TokenFile)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: l.timing.silence}),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
	)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, watchMethod)
	if err != nil {
		return because(ctx, err)
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil && !errors.Is(err, io.EOF) {
		return because(ctx, err)
	}
	if err := stream.CloseSend(); err != nil {
		return because(ctx, err)
	}
	for {
		var raw wrapperspb.BytesValue
		if err := stream.RecvMsg(&raw); err != nil {
			return because(ctx, err)
		}
		silence.Reset(l.timing.silence)
		if err := s.take(raw.GetValue()); err != nil {
			return err
		}
	}
}

// because is why a stream ended: what ended it from our side, if anything did.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err //nolint:wrapcheck // it is a status already
}

// take notes what a message tells, and lets it count when it is complete.
func (s *session) take(raw []byte) error {
	var told message
	if err := json.Unmarshal(raw, &told); err != nil {
		return fmt.Errorf("ledger: decoding a message: %w", err)
	}
	for _, words := range told.Envoys {
		gateway, e, err := decode(words)
		if err != nil {
			return err
		}
		id := recordID{gateway: gateway, name: e.Name}
		s.weigh(id, len(words))
		s.changes[id] = &e
	}
	for _, gone := range told.Gone {
		if err := gone.check(); err != nil {
			return err
		}
		id := recordID{gateway: gwapi.Key(gone.Gateway), name: gone.Name}
		s.weigh(id, 0)
		s.changes[id] = nil
	}
	if s.size > maxLedger {
		return fmt.Errorf("ledger: the replica tells more than %d bytes", maxLedger)
	}
	if told.Complete {
		s.apply()
	}
	return nil
}

// weigh keeps the sum of the sizes; 0 is a record that is gone.
func (s *session) weigh(id recordID, size int) {
	s.size += size - s.sizes[id]
	if size == 0 {
		delete(s.sizes, id)
		return
	}
	s.sizes[id] = size
}

// apply lets count what was told.
func (s *session) apply() {
	l := s.peer.ledger
	l.mu.Lock()
	for id, e := range s.changes {
		if e == nil {
			delete(s.records, id)
		} else {
			s.records[id] = *e
		}
	}
	changed := len(s.changes) > 0
	clear(s.changes)
	select {
	case <-s.whole:
	default:
		s.peer.current = s
		changed = true
		close(s.whole)
	}
	l.mu.Unlock()
	if changed {
		l.changed()
	}
}
