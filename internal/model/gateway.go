package model

import (
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Gateway is everything one fleet of Envoys serves.
type Gateway struct {
	Key gwapi.Key
	// Address is the IP address that Envoy binds.
	Address string
	// ExclusivePorts makes a port that somebody else holds a refusal (standalone)
	// instead of a port shared by SO_REUSEPORT.
	ExclusivePorts bool
	// ReadinessPort is where Envoy answers /ready with 200 once it has this
	// configuration; 0 for nowhere (standalone).
	ReadinessPort int32
	// Unresolved says that GatewayParameters it refers to cannot be used: a
	// running fleet is left as it is, and none is started.
	Unresolved bool
	// SessionLimit ends the sessions of TLS listeners, and is the SessionLimit of
	// the Backends that have a trust; see LimitSession.
	SessionLimit time.Duration
	// Fleet is how its Envoys are run in a cluster.
	Fleet Fleet
	// ProbeInterval is the time between two live checks of an endpoint behind it; 0
	// for no checks. It is not part of the digest.
	ProbeInterval time.Duration `json:",omitzero"`
	// Listeners are sorted by Port.
	Listeners []Listener
	// Backends are sorted by Name; one Envoy cluster each.
	Backends []Backend
	// Shares maps each policy that decides something here, each route and the
	// Gateway itself to a digest of what it decides. An Envoy has what an object
	// asks for once it acknowledged a publication with the same share.
	Shares map[gwapi.Key]string
	// Digest covers every field that Envoy's configuration is made of, and
	// the times at which insecure clusters lapse.
	Digest string
}

// Protocol is what clients speak to a listener.
type Protocol string

// The listener protocols served.
const (
	HTTP  Protocol = "HTTP"
	HTTPS Protocol = "HTTPS"
	// TLS connections are passed on as streams of bytes, chosen by server name.
	TLS Protocol = "TLS"
)

// Listener is one bound port.
type Listener struct {
	// Port is what Envoy binds: privileged Gateway ports are moved up by 10000.
	Port int32
	// Declared is the port of the Gateway's spec, by which clients know the
	// listener; 0 where it is Port.
	Declared int32
	Protocol Protocol
	// Servers are the Gateway's listeners on this port, sorted by Name. Of
	// several, the one with the most specific hostname takes a request, and no
	// other one does (listener isolation).
	Servers []Server
}

// Server is one listener of the Gateway's spec.
type Server struct {
	Name string
	// Hostname is "" for every host, may be a wildcard such as *.example.com.
	Hostname string
	// Certificates are served by an HTTPS listener, and by a TLS listener without
	// Passthrough.
	Certificates []KeyPair
	// Clients is what is asked of the certificates of clients where TLS ends here;
	// nil for nothing, and then clients are not even asked for one.
	Clients *ClientValidation
	// Passthrough (TLS only) leaves the client's TLS to the backend: what is passed
	// on is the handshake itself, so no backend of it has a Trust.
	Passthrough bool
	// Hosts are sorted by Hostname.
	Hosts []VirtualHost
}

// KeyPair is a certificate chain and its private key, both PEM.
type KeyPair struct {
	Secret gwapi.Key
	Chain  []byte
	Key    []byte
}

// String names the Secret, so that no text of a KeyPair shows the key.
func (p KeyPair) String() string { return p.Secret.String() }

// GoString is String.
func (p KeyPair) GoString() string { return p.String() }

// VirtualHost is the rules for one hostname of a Server.
type VirtualHost struct {
	// Hostname is "" for every host of the Server; may be a wildcard. On a TLS
	// listener it is the server name that clients ask for.
	Hostname string
	// Rules are in order of precedence: the first match wins. A TLS listener has
	// at most one, which matches every connection; without one they are closed.
	Rules []Rule
}
