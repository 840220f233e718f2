package xds

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// ackPatience is how long a response may stay without an answer before the
	// stream is ended, and the client starts over with what it says it has. The
	// clusters of an Envoy warm for at most their initial_fetch_timeout of 2 s.
	ackPatience = 30 * time.Second
	// gatePatience is how long the listeners and routes of a new stream wait for
	// the first ACK of its clusters.
	gatePatience = time.Second
)

// The reasons to end a stream.
var (
	errStopped   = status.Error(codes.Unavailable, "the server stops")
	errForgotten = status.Error(codes.Unavailable, "the Gateway is not served any more")
	errReplaced  = status.Error(codes.Aborted, "a newer stream of the same Envoy replaces this one")
	errGone      = status.Error(codes.Aborted, "this Envoy was reported as ended")
	errOverdue   = status.Errorf(codes.DeadlineExceeded, "a response was not answered for %s", ackPatience)
	errExpired   = status.Error(codes.Unauthenticated, "the identity of this stream has expired")
	errBadRefuse = status.Error(codes.InvalidArgument, "a response that only removes resources was refused")
)

// service is the one service registered. StreamAggregatedResources, the state
// of the world, stays the embedded refusal.
type service struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// wire is the two directions of a delta stream.
type wire interface {
	Send(*discoveryv3.DeltaDiscoveryResponse) error
	Recv() (*discoveryv3.DeltaDiscoveryRequest, error)
}

// DeltaAggregatedResources serves one Envoy until the stream ends.
func (s *service) DeltaAggregatedResources(
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	peer, ok := stream.Context().Value(peerKey{}).(Peer)
	if !ok {
		return status.Error(codes.Unauthenticated, "the stream was not identified")
	}
	return s.server.converse(stream.Context(), peer, stream)
}

// converse runs both halves of a stream. It returns while a half may still be
// blocked in the wire: returning is what unblocks it.
func (s *Server) converse(ctx context.Context, peer Peer, w wire) error {
	st := s.attach(peer)
	if st == nil {
		return errStopped
	}
	log := s.config.Log.With("gateway", peer.Gateway.String(), "envoy", peer.Name)
	log.Info("xds stream opened")
	ended := make(chan error, 2)
	s.workers.Go(func() { ended <- s.guard(func() error { return st.receive(w) }) })
	s.workers.Go(func() { ended <- s.guard(func() error { return st.transmit(ctx, w) }) })
	err := st.watch(ctx, ended)
	st.detach()
	log.Info("xds stream closed", "reason", status.Convert(err).Message())
	return err
}

// watch waits for whatever ends the stream first.
func (st *stream) watch(ctx context.Context, ended <-chan error) error {
	overdue := time.NewTicker(ackPatience / 6)
	defer overdue.Stop()
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	var expired <-chan time.Time
	if !st.peer.Expires.IsZero() {
		timer := time.NewTimer(st.peer.remaining(st.gateway.now()))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-st.done:
			return st.reason
		case <-expired:
			return errExpired
		case <-retry.C:
			st.retry()
		case <-overdue.C:
			if st.overdue(time.Now()) {
				return errOverdue
			}
		}
	}
}

// stream is one Envoy's connection. Everything but the channels and what never
// changes is under the Gateway's lock.
type stream struct {
	gateway *gateway
	peer    Peer
	// wake has a value when there may be something to send.
	wake chan struct{}
	// done is closed, with a reason, to end the stream from our side.
	done   chan struct{}
	reason error

	record        *record
	subscriptions [kinds]*subscription
	nonce         uint64
	detached      bool
	// waiting is since when listeners and routes wait for the clusters, past
	// says that they do not any more.
	waiting time.Time
	past    bool
	// rewarm are clusters that were replaced in place before the stream asked
	// for assignments.
	rewarm map[string]struct{}
}

// nudge makes transmit look again.
func (st *stream) nudge() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// receive handles what the client says.
func (st *stream) receive(w wire) error {
	for {
		request, err := w.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err //nolint:wrapcheck // it is a status already
		}
		if err := st.handle(request); err != nil {
			return err
		}
	}
}

// transmit sends what is due.
func (st *stream) transmit(ctx context.Context, w wire) error {
	for {
		response, again := st.next()
		if response != nil {
			if err := w.Send(response); err != nil {
				return err //nolint:wrapcheck // it is a status already
			}
			continue
		}
		var retry <-chan time.Time
		if again > 0 {
			retry = time.After(again)
		}
		select {
		case <-st.wake:
		case <-retry:
		case <-st.done:
			return st.reason
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// handle takes one request: an ACK or NACK, a change of what is wanted, or
// both.
func (st *stream) handle(request *discoveryv3.DeltaDiscoveryRequest) error {
	k, ok := kindOf(request.GetTypeUrl())
	if !ok {
		return status.Error(codes.InvalidArgument, "unknown resource type")
	}
	g := st.gateway
	g.mu.Lock()
	defer g.mu.Unlock()
	if st.detached {
		return st.reason
	}
	subscribe, unsubscribe := request.GetResourceNamesSubscribe(), request.GetResourceNamesUnsubscribe()
	if s := st.subscriptions[k]; s != nil {
		if err := st.answer(k, request); err != nil {
			return err
		}
		return s.update(subscribe, unsubscribe)
	}
	return st.begin(k, subscribe, unsubscribe, request.GetInitialResourceVersions())
}

// begin opens the subscription of a type. What the Envoy says it has, and what
// the ledger says it may still have, it holds.
func (st *stream) begin(k kind, subscribe, unsubscribe []string, initial map[string]string) error {
	s := newSubscription(st.gateway.caches[k], st.nudge)
	st.subscriptions[k] = s
	if err := s.begin(subscribe, unsubscribe, initial); err != nil {
		return err
	}
	switch k {
	case clusters:
		st.record.resume(s, initial)
		st.gateway.changed()
	case assignments:
		for name := range st.rewarm {
			s.resend(name)
		}
		st.rewarm = nil
	default:
	}
	st.gateway.progress()
	return nil
}

// next is the response to send now, or how long to wait before asking again
// (0: until nudged).
func (st *stream) next() (*discoveryv3.DeltaDiscoveryResponse, time.Duration) {
	g := st.gateway
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.published || st.detached {
		return nil, 0
	}
	now := g.now()
	for k := range kinds {
		s := st.subscriptions[k]
		if s == nil || s.idle() {
			continue
		}
		if k == listeners || k == routes {
			if wait := st.gate(time.Now()); wait > 0 {
				return nil, wait
			}
		}
		if r := s.next(now); r != nil {
			return st.encode(k, r, now), 0
		}
	}
	return nil, 0
}

// gate is how long listeners and routes must wait, so that none reaches a
// client before the clusters it names: on a new stream until the first ACK of
// the clusters, on every stream until the clusters were at least sent.
func (st *stream) gate(now time.Time) time.Duration {
	s := st.subscriptions[clusters]
	if s != nil && len(s.marked) > 0 {
		return gatePatience
	}
	if st.past {
		return 0
	}
	if st.waiting.IsZero() {
		st.waiting = now
	}
	left := gatePatience - now.Sub(st.waiting)
	if left > 0 && (s == nil || !s.idle()) {
		return left
	}
	st.past = true
	return 0
}

// encode puts a response into words and into the ledger.
func (st *stream) encode(k kind, r *response, now time.Time) *discoveryv3.DeltaDiscoveryResponse {
	st.nonce++
	r.nonce = strconv.FormatUint(st.nonce, 10)
	out := &discoveryv3.DeltaDiscoveryResponse{
		TypeUrl:          k.typeURL(),
		Nonce:            r.nonce,
		RemovedResources: r.removed,
		Resources:        make([]*discoveryv3.Resource, 0, len(r.sent)),
	}
	for _, name := range r.order() {
		it := r.sent[name]
		resource := &discoveryv3.Resource{
			Name:     name,
			Version:  it.version,
			Resource: &anypb.Any{TypeUrl: k.typeURL(), Value: it.body},
		}
		if !it.held.Lapses.IsZero() {
			resource.Ttl = durationpb.New(it.held.Lapses.Sub(now))
		}
		out.Resources = append(out.Resources, resource)
	}
	if k == clusters {
		st.record.hold(r)
		st.replaced(r.replaced)
		st.gateway.changed()
	}
	return out
}

// replaced sends the assignments of clusters that were replaced in place once
// more: Envoy warms the new cluster, does not ask again for an assignment it
// watches already, and would wait for its initial_fetch_timeout.
func (st *stream) replaced(names []string) {
	s := st.subscriptions[assignments]
	for _, name := range names {
		if s != nil {
			s.resend(name)
			continue
		}
		if st.rewarm == nil {
			st.rewarm = make(map[string]struct{})
		}
		st.rewarm[name] = struct{}{}
	}
}

// overdue says whether a response was not answered for too long.
func (st *stream) overdue(now time.Time) bool {
	st.gateway.mu.Lock()
	defer st.gateway.mu.Unlock()
	for _, s := range st.subscriptions {
		if s != nil && len(s.unanswered) > 0 && now.Sub(s.unanswered[0].at) > ackPatience {
			return true
		}
	}
	return false
}
