package xds

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Authenticator tells who opened a stream, from what the transport proved
// (grpc's peer.FromContext) and never from what the client says about itself.
// An error with the status Unavailable says that this could not be checked now;
// the stream is refused all the same, with that status.
type Authenticator interface {
	Identify(ctx context.Context) (Peer, error)
}

// Peer is an Envoy whose identity is proven.
type Peer struct {
	// Gateway is the only Gateway whose resources it may have.
	Gateway gwapi.Key
	// Name is the pod's name, or envoy-PID.
	Name string
	// Expires is when the proof ends and the stream with it; zero for never.
	Expires time.Time
}

// expirySpread is the longest time before Peer.Expires that a stream ends, so
// that Envoys whose proofs expire together do not reconnect together.
const expirySpread = 30 * time.Second

// remaining is how long the stream may live.
func (p Peer) remaining(now time.Time) time.Duration {
	left := p.Expires.Sub(now)
	if spread := min(left/10, expirySpread); spread > 0 {
		left -= rand.N(spread) //nolint:gosec // spreads load, decides nothing
	}
	return max(left, 0)
}

// node is what the peer is called in a request, whatever it called itself.
func (p Peer) node() *corev3.Node {
	return &corev3.Node{Id: p.Name, Cluster: p.Gateway.Namespace + "/" + p.Gateway.Name}
}

type peerKey struct{}

// identify is on every stream of every method, whatever its path: no handler
// runs for a peer that was not identified. It also keeps a panic of a stream
// from being more than the end of that stream.
func (s *Server) identify(
	server any, wire grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	return s.guard(func() error {
		peer, err := s.config.Authenticator.Identify(wire.Context())
		if err == nil && (peer.Gateway.IsZero() || peer.Name == "") {
			err = status.Error(codes.Unauthenticated, "the peer has no Gateway or no name")
		}
		if err == nil && !peer.Expires.IsZero() && !s.config.Now().Before(peer.Expires) {
			err = status.Error(codes.Unauthenticated, "the peer's identity has expired")
		}
		if err != nil {
			s.config.Log.Warn("refused an xds stream of an unidentified peer", "error", err)
			if status.Code(err) == codes.Unavailable {
				return status.Error(codes.Unavailable, "who asks cannot be checked now")
			}
			return status.Error(codes.Unauthenticated, "not an Envoy of a Gateway of this operator")
		}
		return handler(server, &identified{
			ServerStream: wire,
			peer:         peer,
			ctx:          context.WithValue(wire.Context(), peerKey{}, peer),
		})
	})
}

// refuseUnary is on every unary method. None is registered; one that ever is
// must be thought about first.
func refuseUnary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, status.Error(codes.Unimplemented, "this server streams delta ADS only")
}

// guard turns a panic into an error of the stream.
func (s *Server) guard(do func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.config.Log.Error("an xds stream panicked", "panic", fault, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal fault")
		}
	}()
	return do()
}

// identified is a stream whose every message is stamped with the identity of
// the peer.
type identified struct {
	grpc.ServerStream
	peer Peer
	ctx  context.Context //nolint:containedctx // grpc.ServerStream asks for it
}

// Context carries the Peer.
func (i *identified) Context() context.Context { return i.ctx }

// RecvMsg overwrites the node of every message, first or later, and refuses
// what is not a request for a type that is served.
func (i *identified) RecvMsg(message any) error {
	if err := i.ServerStream.RecvMsg(message); err != nil {
		return err //nolint:wrapcheck // io.EOF and grpc's statuses are the contract
	}
	request, ok := message.(*discoveryv3.DeltaDiscoveryRequest)
	if !ok {
		return status.Error(codes.Unimplemented, "this server streams delta ADS only")
	}
	request.Node = i.peer.node()
	if _, ok := kindOf(request.GetTypeUrl()); !ok {
		return status.Errorf(codes.InvalidArgument, "resources of type %.100q are not served", request.GetTypeUrl())
	}
	return nil
}
