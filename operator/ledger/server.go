package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	serviceName = "backendtls.ledger.v1.Ledger"
	streamName  = "Watch"
	watchMethod = "/" + serviceName + "/" + streamName
)

const (
	// maxRequest is more than the empty request has.
	maxRequest = 1 << 10
	maxStreams = 4
	// The server notices a client that vanished within these two together.
	pingInterval     = 10 * time.Second
	pingTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
)

// watcher is the service: one method, from an empty request to a stream of
// messages.
type watcher interface {
	watch(stream grpc.ServerStream) error
}

// service is how gRPC knows it. Messages are JSON in a BytesValue, so that
// there is no second description of what a record is.
func service() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*watcher)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    streamName,
			ServerStreams: true,
			Handler: func(server any, stream grpc.ServerStream) error {
				w, ok := server.(watcher)
				if !ok {
					return status.Error(codes.Internal, "no ledger")
				}
				return w.watch(stream)
			},
		}},
	}
}

// serve serves the ledger of this replica until ctx ends.
func (l *Ledger) serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(l.config.ServerTLS)),
		grpc.StreamInterceptor(l.identify),
		grpc.UnaryInterceptor(refuseUnary),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingInterval, Timeout: pingTimeout}),
		grpc.WaitForHandlers(true),
	)
	server.RegisterService(service(), l)
	// Stop, not GracefulStop: streams do not end by themselves.
	stopped := context.AfterFunc(ctx, server.Stop)
	defer server.Stop()
	defer stopped()
	err := server.Serve(listener)
	if err == nil || ctx.Err() != nil || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("ledger: serving %s: %w", listener.Addr(), err)
}

// identify is on every stream of every method: no handler runs for anybody but
// another pod of the operator, or beyond the end of its proof. It also keeps a
// panic from being more than the end of one stream.
func (l *Ledger) identify(
	server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			l.config.Log.Error("a stream of the ledger panicked", "panic", fault, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal fault")
		}
	}()
	caller, err := l.config.Authenticator.Identify(stream.Context())
	if err == nil && !l.isPeer(caller) {
		err = fmt.Errorf("pod %s/%s (uid %s, service account %s) is no other pod of this operator",
			caller.Namespace, caller.Pod, caller.UID, caller.ServiceAccount)
	}
	if err == nil && !time.Now().Before(caller.Expires) {
		err = errors.New("the proof of who asks has expired")
	}
	if err != nil {
		l.config.Log.Warn("refused to tell the ledger", "error", err)
		if status.Code(err) == codes.Unavailable {
			return status.Error(codes.Unavailable, "who asks cannot be checked now")
		}
		return status.Error(codes.Unauthenticated, "not a pod of this operator")
	}
	ctx, end := context.WithDeadline(stream.Context(), caller.Expires)
	defer end()
	return handler(server, &proven{ServerStream: stream, ctx: ctx})
}

// proven is a stream that ends with the proof of its caller.
type proven struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream asks for it
}

// Context ends when the proof does.
func (p *proven) Context() context.Context { return p.ctx }

// refuseUnary is on every unary method. None is registered.
func refuseUnary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, status.Error(codes.Unimplemented, "this server streams the ledger only")
}

// watch tells all records, then those that change, and now and then nothing, so
// that the other end knows that this one is there.
func (l *Ledger) watch(stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		return err //nolint:wrapcheck // it is a status already
	}
	heartbeat := time.NewTicker(l.timing.heartbeat)
	defer heartbeat.Stop()
	seen := make(map[recordID]uint64)
	for {
		records, outdated := l.local.state()
		if err := send(stream, records, seen); err != nil {
			return err
		}
		for waiting := true; waiting; {
			select {
			case <-stream.Context().Done():
				return status.FromContextError(stream.Context().Err()).Err()
			case <-heartbeat.C:
				if err := say(stream, message{Complete: true}); err != nil {
					return err
				}
			case <-outdated:
				waiting = false
			}
		}
		if !pause(stream.Context(), l.timing.settle) {
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

// send tells what differs from what was seen, in as many messages as needed.
func send(stream grpc.ServerStream, records map[recordID]told, seen map[recordID]uint64) error {
	var next message
	size := 0
	for id, t := range records {
		if seen[id] == t.version {
			continue
		}
		if size > 0 && size+len(t.words) > fullMessage {
			if err := say(stream, next); err != nil {
				return err
			}
			next, size = message{}, 0
		}
		next.Envoys = append(next.Envoys, t.words)
		size += len(t.words)
		seen[id] = t.version
	}
	for id := range seen {
		if _, there := records[id]; !there {
			next.Gone = append(next.Gone, identity{Gateway: key(id.gateway), Name: id.name})
			delete(seen, id)
		}
	}
	next.Complete = true
	return say(stream, next)
}

func say(stream grpc.ServerStream, m message) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return status.Errorf(codes.Internal, "encoding: %v", err)
	}
	return stream.SendMsg(wrapperspb.Bytes(raw)) //nolint:wrapcheck // it is a status already
}

// pause waits; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
