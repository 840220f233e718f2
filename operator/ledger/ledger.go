package ledger

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Local is the ledger of this replica. Nobody else may receive from its
// Changes.
type Local interface {
	Envoys() map[gwapi.Key][]model.Envoy
	Changes() <-chan struct{}
}

// Authenticator tells which pod opened a stream, from what its token proves.
type Authenticator interface {
	Identify(ctx context.Context) (Caller, error)
}

// Caller is a pod whose identity is proven.
type Caller struct {
	Namespace      string
	ServiceAccount string
	Pod            string
	UID            types.UID
	// Expires is when the proof ends and the stream with it.
	Expires time.Time
}

// Config is what a Ledger needs. All but Log is required.
type Config struct {
	Local Local
	Peers Peers
	// Authenticator identifies those who ask for the ledger of this replica.
	Authenticator Authenticator
	// Namespace and ServiceAccount are those of the operator's pods: nobody else
	// is told anything.
	Namespace, ServiceAccount string
	// Self is the name of this replica's pod.
	Self string
	// Port is where all replicas serve their ledgers.
	Port uint16
	// ServerTLS proves this replica to others.
	ServerTLS *tls.Config
	// ClientTLS is how other replicas are recognised; it is asked for each
	// connection.
	ClientTLS func() *tls.Config
	// TokenFile has the token that proves this replica's pod to the others. It is
	// read for each connection.
	TokenFile string
	// Log gets a line for each replica that is heard or not heard any more. Nil
	// discards.
	Log *slog.Logger
}

// timing is how long things take; tests have less time.
type timing struct {
	// heartbeat is how often something is sent on a stream, silence how long
	// nothing may come.
	heartbeat, silence time.Duration
	// settle is how long changes are collected before they are sent.
	settle time.Duration
	// renewal is after how long a stream is replaced by a new one, which begins
	// before the old one ends: far below the hour that a token lasts, so that no
	// replica's words are missing while it gets a new one.
	renewal time.Duration
	// retry is the first pause after a failure; it doubles up to maxRetry.
	retry, maxRetry time.Duration
	// review is how often the list of pods is looked at without being told to.
	review time.Duration
}

func standardTiming() timing {
	return timing{
		heartbeat: time.Second, silence: 5 * time.Second, settle: 50 * time.Millisecond,
		renewal: 5 * time.Minute, retry: 250 * time.Millisecond, maxRetry: 5 * time.Second, review: 30 * time.Second,
	}
}

// Ledger is the ledger of all replicas.
type Ledger struct {
	config  Config
	timing  timing
	changes chan struct{}
	local   *tracker

	mu sync.Mutex
	// peers are the other replicas.
	peers map[types.UID]*peer
}

// New prepares a Ledger.
func New(config Config) (*Ledger, error) {
	for field, missing := range map[string]bool{
		"Local":          config.Local == nil,
		"Peers":          config.Peers == nil,
		"Authenticator":  config.Authenticator == nil,
		"Namespace":      config.Namespace == "",
		"ServiceAccount": config.ServiceAccount == "",
		"Self":           config.Self == "",
		"Port":           config.Port == 0,
		"ServerTLS":      config.ServerTLS == nil,
		"ClientTLS":      config.ClientTLS == nil,
		"TokenFile":      config.TokenFile == "",
	} {
		if missing {
			return nil, fmt.Errorf("ledger: Config.%s is missing", field)
		}
	}
	if config.ServerTLS.MinVersion < tls.VersionTLS13 {
		return nil, errors.New("ledger: Config.ServerTLS must ask for TLS 1.3")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Ledger{
		config:  config,
		timing:  standardTiming(),
		changes: make(chan struct{}, 1),
		local:   newTracker(config.Local, config.Log),
		peers:   make(map[types.UID]*peer),
	}, nil
}

// Run serves this replica's ledger at the listener, which it closes, and
// follows those of the others, until ctx ends. An error means that it cannot
// serve.
func (l *Ledger) Run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		work   sync.WaitGroup
		failed error
	)
	work.Go(func() {
		defer stop()
		failed = l.serve(ctx, listener)
	})
	work.Go(func() { l.followLocal(ctx) })
	work.Go(func() { l.followPeers(ctx) })
	work.Wait()
	return failed
}

// Envoys is what all replicas that are heard know of every Envoy, sorted by
// name. It must not be changed.
func (l *Ledger) Envoys() map[gwapi.Key][]model.Envoy {
	records := make(map[gwapi.Key]map[string][]model.Envoy)
	add := func(gateway gwapi.Key, e model.Envoy) {
		if records[gateway] == nil {
			records[gateway] = make(map[string][]model.Envoy)
		}
		records[gateway][e.Name] = append(records[gateway][e.Name], e)
	}
	for gateway, envoys := range l.config.Local.Envoys() {
		for _, e := range envoys {
			add(gateway, e)
		}
	}
	now := time.Now()
	l.mu.Lock()
	for _, p := range l.peers {
		for id, e := range p.heard() {
			add(id.gateway, unlapsed(e, now))
		}
	}
	l.mu.Unlock()
	merged := make(map[gwapi.Key][]model.Envoy, len(records))
	for gateway, named := range records {
		for _, same := range named {
			merged[gateway] = append(merged[gateway], merge(same))
		}
		slices.SortFunc(merged[gateway], func(a, b model.Envoy) int { return cmp.Compare(a.Name, b.Name) })
	}
	return merged
}

// Changes gets a value after Envoys may have changed; several changes may be
// one value.
func (l *Ledger) Changes() <-chan struct{} { return l.changes }

func (l *Ledger) changed() {
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// followLocal tells the streams, and whoever waits for Changes, of those of
// this replica.
func (l *Ledger) followLocal(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.config.Local.Changes():
			l.local.outdate()
			l.changed()
		}
	}
}

// followPeers keeps a conversation with every other pod of the operator.
func (l *Ledger) followPeers(ctx context.Context) {
	review := time.NewTicker(l.timing.review)
	defer review.Stop()
	var conversations sync.WaitGroup
	defer conversations.Wait()
	for {
		l.sync(ctx, &conversations)
		select {
		case <-ctx.Done():
			return
		case <-l.config.Peers.Changes():
		case <-review.C:
		}
	}
}

// sync begins conversations with pods that are new, and ends those with pods
// that are gone or have another address.
func (l *Ledger) sync(ctx context.Context, conversations *sync.WaitGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	present := make(map[types.UID]Pod)
	for _, pod := range l.config.Peers.Pods() {
		if pod.Name != l.config.Self && pod.IP != "" {
			present[pod.UID] = pod
		}
	}
	for uid, p := range l.peers {
		if present[uid] != p.pod {
			p.stop()
			delete(l.peers, uid)
			l.changed()
		}
	}
	for uid, pod := range present {
		if l.peers[uid] != nil {
			continue
		}
		begun, stop := context.WithCancel(ctx)
		p := &peer{ledger: l, pod: pod, stop: stop, log: l.config.Log.With("pod", pod.Name, "address", pod.IP)}
		l.peers[uid] = p
		conversations.Go(func() { defer stop(); p.run(begun) })
	}
}

// isPeer says whether it is another pod of the operator.
func (l *Ledger) isPeer(c Caller) bool {
	return c.Namespace == l.config.Namespace && c.ServiceAccount == l.config.ServiceAccount &&
		slices.ContainsFunc(l.config.Peers.Pods(), func(p Pod) bool {
			return p.Name == c.Pod && p.UID == c.UID && p.UID != "" && p.Name != l.config.Self
		})
}
