package session

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/plugin/collect"
)

// Config is what a Session is about and what it works with.
type Config struct {
	// Filename is a directory of manifests, or one file; "" for a cluster. State is
	// where its operator keeps status, "" for .backendtls beside the files.
	Filename, State string
	// Cluster is the API server, where Filename is "".
	Cluster Cluster
	// Program is how people call this program: "kubectl backendtls".
	Program string
	// ReadOnly refuses to change anything.
	ReadOnly bool
	// Now is the clock of this machine.
	Now func() time.Time
	// Dial opens connections to endpoints.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Lookup resolves host names; network is "ip".
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// ProbeTimeout bounds what one endpoint may take to answer.
	ProbeTimeout time.Duration
	// Via is how endpoints are reached: ViaDirect or ViaPortForward.
	Via string
	// Readings spare what was read of the files before; nil where nothing was.
	Readings *collect.Readings
}

// The ways to an endpoint.
const (
	// ViaDirect dials the addresses of the endpoints from here.
	ViaDirect = "direct"
	// ViaPortForward asks the pods behind them, through the API server.
	ViaPortForward = "port-forward"
)

// Cluster is an API server and how people name it. It may be used concurrently.
type Cluster interface {
	// RESTConfig is how to speak to it; Client reads and writes collect.Scheme's
	// kinds.
	RESTConfig() (*rest.Config, error)
	Client() (client.Client, error)
	// Watcher reads and watches them; its requests do not time out by themselves.
	Watcher() (client.WithWatch, error)
	// Name is for people: "context dev". Arguments are the flags that name it in a
	// command line, "" for none.
	Name() string
	Arguments() string
	// Ahead is by how much its clock is ahead of this machine's.
	Ahead() time.Duration
}

// Session is one sitting. Its methods may be called concurrently.
type Session struct {
	config Config

	lock sync.Mutex
	// seen is the newest World that was read, nil before there is one.
	seen *collect.World
	// fetched is what the endpoints of a port served when they were asked last.
	fetched map[collect.PortKey]Fetched
	// lacking are the rights that the person is known to lack.
	lacking map[right]bool
	// answers counts what changed that.
	answers int
	// said are warnings; noticed gets a value when there is another one.
	said    []string
	noticed chan struct{}
}

// New is a Session. Nothing is read yet.
func New(config Config) *Session {
	if config.Readings == nil {
		config.Readings = new(collect.Readings)
	}
	return &Session{
		config: config, fetched: map[collect.PortKey]Fetched{}, lacking: map[right]bool{}, noticed: make(chan struct{}, 1),
	}
}

// ReadTimeout bounds everything that is read of a cluster, where
// --request-timeout does not allow a single request more.
const ReadTimeout = time.Minute

// reading is how much of a cluster is read.
type reading struct {
	// Scope is which namespaces.
	Scope
	// roots says that a policy may be made that trusts the system's roots.
	roots bool
}

// live says whether the world is a cluster.
func (s *Session) live() bool { return s.config.Filename == "" }

// read reads the files, or the cluster, as they are now.
func (s *Session) read(ctx context.Context, what reading) (*collect.World, error) {
	if !s.live() {
		return s.config.Readings.Files(s.config.Filename, s.config.State, s.config.Now())
	}
	cluster := s.config.Cluster
	config, err := cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	reader, err := cluster.Client()
	if err != nil {
		return nil, err
	}
	return collect.Cluster(ctx, collect.ClusterConfig{
		Client: reader, Source: cluster.Name(), Namespace: what.Namespace, AllNamespaces: what.All,
		SystemRoots: what.roots, Timeout: max(ReadTimeout, config.Timeout), Now: s.now,
	})
}

// now is the time that modes and dates are judged by.
func (s *Session) now() time.Time {
	if !s.live() {
		return s.config.Now()
	}
	return ServerNow(s.config.Now(), s.config.Cluster.Ahead())
}

// ServerNow is the time by the API server's clock, which is the operator's more
// probably than this machine's is. Differences that HTTP cannot tell from none
// count as none.
func ServerNow(now time.Time, ahead time.Duration) time.Time {
	if ahead.Abs() > 2*time.Second {
		return now.Add(ahead)
	}
	return now
}

// source is what to type to read the same world.
func (s *Session) source() string {
	if s.live() {
		return s.config.Cluster.Arguments()
	}
	return "-f " + Quoted(s.config.Filename)
}

// know keeps the newest World, for the questions that are answered without
// waiting.
func (s *Session) know(world *collect.World) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.seen = world
}

// known is the newest World, nil before there is one.
func (s *Session) known() *collect.World {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.seen
}

// remember keeps what was fetched.
func (s *Session) remember(fetched Fetched) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.fetched[keyOf(fetched.Service)] = fetched
}

// remembered is what was fetched of a port last.
func (s *Session) remembered(key collect.PortKey) (fetched Fetched, found bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	fetched, found = s.fetched[key]
	return fetched, found
}

// right is what a person may or may not do in a namespace.
type right struct {
	// verb and resource are as RBAC has them, the resource with its group:
	// "backendtlspolicies.gateway.networking.k8s.io".
	verb, resource string
	namespace      string
}

// noteRight keeps what the API server said about a right. It is a hint that
// hides what would be refused: the API server decides whenever something is
// written.
func (s *Session) noteRight(about right, allowed bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if allowed != s.lacking[about] {
		return
	}
	if s.lacking[about] = !allowed; allowed {
		delete(s.lacking, about)
	}
	s.answers++
	select {
	case s.noticed <- struct{}{}:
	default: // One is waiting to be read, which covers this one too.
	}
}

// answered counts the answers about rights that changed what is known of them.
func (s *Session) answered() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.answers
}

// lacks says whether the right is known to lack.
func (s *Session) lacks(about right) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.lacking[about]
}
