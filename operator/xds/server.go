package xds

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// The limits of one connection. An Envoy needs one stream; its largest message
// is the first of a reconnect, which lists every resource it has by name and
// version: about 110 bytes each.
const (
	maxMessage        = 8 << 20
	maxStreams        = 8
	handshakeTimeout  = 10 * time.Second
	keepaliveInterval = 30 * time.Second
	keepaliveTimeout  = 10 * time.Second
	keepaliveMinimum  = 10 * time.Second
	// connectionAge makes long connections move to other replicas in time;
	// grpc spreads it by a tenth. A reconnect sends only what changed.
	connectionAge      = 6 * time.Hour
	connectionAgeGrace = 10 * time.Second
)

// Config is what a Server needs.
type Config struct {
	// Authenticator says who is at the other end of a stream.
	Authenticator Authenticator
	// Credentials protect the transport and prove the peer. There is no default:
	// configuration holds private keys.
	Credentials credentials.TransportCredentials
	// Log gets one line for each stream and each refusal, never the contents of
	// a resource. Nil discards.
	Log *slog.Logger
	// Now is the clock that the lapse of clusters is measured by; nil is time.Now.
	Now func() time.Time
}

// Publication is the whole configuration of one Gateway but for its
// endpoints. Nothing in it may be changed after it was handed over.
type Publication struct {
	Resources envoy.Resources
	// Shares is model.Gateway.Shares: what model.Envoy.Settled tells.
	Shares map[gwapi.Key]string
}

// Server is the xDS server of all Gateways.
type Server struct {
	config  Config
	grpc    *grpc.Server
	changes chan struct{}
	// workers are the publishers and the two halves of every stream.
	workers sync.WaitGroup

	mu       sync.Mutex
	gateways map[gwapi.Key]*gateway
	stopped  bool
}

// New prepares a server. It refuses to be without an authenticator or without
// credentials that prove the peer.
func New(config Config) (*Server, error) {
	if config.Authenticator == nil {
		return nil, errors.New("xds: Config.Authenticator is nil: streams must be identified")
	}
	if config.Credentials == nil {
		return nil, errors.New("xds: Config.Credentials is nil: use TLS or UnixCredentials")
	}
	if protocol := config.Credentials.Info().SecurityProtocol; protocol == "insecure" {
		return nil, errors.New("xds: Config.Credentials are insecure: use TLS or UnixCredentials")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Server{
		config:   config,
		changes:  make(chan struct{}, 1),
		gateways: make(map[gwapi.Key]*gateway),
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(config.Credentials),
		grpc.StreamInterceptor(s.identify),
		grpc.UnaryInterceptor(refuseUnary),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: keepaliveMinimum, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveInterval, Timeout: keepaliveTimeout,
			MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionAgeGrace,
		}),
		grpc.WaitForHandlers(true),
	)
	// This service alone: it has no unary Fetch, and neither health nor
	// reflection is anybody's business.
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s.grpc, &service{server: s})
	return s, nil
}

// Serve accepts connections until the listener is closed or the server
// stopped, neither of which is an error. It may be called for several
// listeners.
func (s *Server) Serve(listener net.Listener) error {
	err := s.grpc.Serve(listener)
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("xds: serving %s: %w", listener.Addr(), err)
}

// Stop ends every stream, publisher and listener and waits for them. It does
// not drain: the streams of Envoys never end by themselves.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	gateways := s.gateways
	s.gateways = make(map[gwapi.Key]*gateway)
	s.mu.Unlock()
	for _, g := range gateways {
		g.close(errStopped)
	}
	s.grpc.Stop()
	s.workers.Wait()
}

// Publish makes p what the Gateway's Envoys shall have. It never blocks; of
// publications that were not begun yet only the newest counts.
func (s *Server) Publish(key gwapi.Key, p Publication) {
	s.with(key, func(g *gateway) bool { return g.ask(p) })
}

// SetEndpoints replaces the assignment of one cluster, named by its
// ClusterName, whatever the publisher is doing. Its cost does not depend on
// how many others there are. It must be called for every cluster that a
// publication brings (back), before Publish, also where there is no endpoint:
// the publisher drops the assignments of the clusters it removed. The
// assignment must not be changed afterwards.
func (s *Server) SetEndpoints(key gwapi.Key, assignment *endpointv3.ClusterLoadAssignment) {
	made, err := newItem(assignments, assignment.GetClusterName(), assignment)
	if err != nil {
		// Endpoints that Envoy would refuse are not sent: the ones before stay.
		s.config.Log.Error("endpoints are not valid and were not sent",
			"gateway", key.String(), "cluster", assignment.GetClusterName(), "error", err)
		return
	}
	s.with(key, func(g *gateway) bool { return g.assign(made) })
}

// Withdraw removes at once every cluster that keep does not name, and ends the
// publication under way, for a Gateway that cannot be translated: its
// listeners and routes stay, and requests to the clusters withdrawn are
// answered with 500. Keep must not call the Server.
func (s *Server) Withdraw(key gwapi.Key, keep func(cluster string) bool) {
	s.mu.Lock()
	g := s.gateways[key]
	s.mu.Unlock()
	if g != nil {
		g.withdraw(keep)
	}
}

// Forget ends the streams of a Gateway and drops all that is known of it.
func (s *Server) Forget(key gwapi.Key) {
	s.mu.Lock()
	g := s.gateways[key]
	delete(s.gateways, key)
	s.mu.Unlock()
	if g != nil {
		g.close(errForgotten)
		s.changed()
	}
}

// Gone says that an Envoy ended: it holds nothing any more.
func (s *Server) Gone(key gwapi.Key, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gateways[key]
	if g == nil {
		return
	}
	g.gone(name)
	if g.retireIfUnused() {
		delete(s.gateways, key)
	}
	s.changed()
}

// Envoys is the ledger: every Envoy that was heard of and is not Gone, sorted
// by name.
func (s *Server) Envoys() map[gwapi.Key][]model.Envoy {
	s.mu.Lock()
	gateways := make([]*gateway, 0, len(s.gateways))
	for _, g := range s.gateways {
		gateways = append(gateways, g)
	}
	s.mu.Unlock()
	envoys := make(map[gwapi.Key][]model.Envoy, len(gateways))
	for _, g := range gateways {
		if known := g.report(); len(known) > 0 {
			envoys[g.key] = known
		}
	}
	return envoys
}

// Changes gets a value after Envoys may have changed; several changes may be
// one value.
func (s *Server) Changes() <-chan struct{} { return s.changes }

func (s *Server) changed() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}
