package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/model"
)

// kind is a resource type. Their order is the order in which a stream that
// owes several types sends them: what is referred to comes first.
type kind int

// The resource types served.
const (
	clusters kind = iota
	assignments
	secrets
	listeners
	routes
	kinds // how many there are
)

// kindOf finds the kind of a type URL.
func kindOf(typeURL string) (kind, bool) {
	for k := range kinds {
		if k.typeURL() == typeURL {
			return k, true
		}
	}
	return 0, false
}

func (k kind) typeURL() string {
	return [kinds]string{
		clusters:    resourcev3.ClusterType,
		assignments: resourcev3.EndpointType,
		secrets:     resourcev3.SecretType,
		listeners:   resourcev3.ListenerType,
		routes:      resourcev3.RouteType,
	}[k]
}

// String is the short name that model.Rejection uses.
func (k kind) String() string { return k.typeURL()[strings.LastIndexByte(k.typeURL(), '.')+1:] }

// wildcard says whether "*", or a first request without names, asks for all
// resources of the type (xDS protocol, "How the client specifies what
// resources to return"). Of the others Envoy asks for each by name.
func (k kind) wildcard() bool { return k == clusters || k == listeners }

// perResponse is how many resources go into one response, 0 for no limit.
// Envoy's refusal of a listener or a cluster names it; that of a route
// configuration or a secret does not, so these go one by one and the refused
// one is known.
func (k kind) perResponse() int {
	if k == routes || k == secrets {
		return 1
	}
	return 0
}

// fallback says whether a refused resource of the kind is replaced by the last
// one that an Envoy acknowledged. Nothing that holds trust ever is.
func (k kind) fallback() bool { return k == listeners || k == routes }

// resourceID names a resource of one Gateway.
type resourceID struct {
	kind kind
	name string
}

// item is a resource as it is served. Only acked ever changes.
type item struct {
	name string
	// digest is the hash of the content.
	digest string
	// version is what the client is told: the digest and, for a cluster that
	// lapses, when, so that a renewal is sent again with a new time to live.
	// Content hashes make replicas agree.
	version string
	body    []byte
	// held is what an Envoy that has the cluster may be using.
	held model.HeldCluster
	// routes are the route configurations that a listener asks for.
	routes []string
	// acked says that an Envoy of the Gateway acknowledged it.
	acked bool
	// since is how many publications the Gateway had been asked for when the
	// assignment was set.
	since uint64
}

// message is what every Envoy resource can do.
type message interface {
	proto.Message
	ValidateAll() error
}

// newItem marshals a resource, once, and derives its version. It fails for a
// resource that Envoy would refuse, which includes one under a name that is
// not its own.
func newItem(k kind, name string, resource message) (*item, error) {
	if own := nameOf(resource); own != name || name == "" {
		return nil, fmt.Errorf("%s %q is published as %q, want its own name", k, own, name)
	}
	if err := resource.ValidateAll(); err != nil {
		return nil, fmt.Errorf("%s %q is not valid: %w", k, name, err)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(resource)
	if err != nil {
		return nil, fmt.Errorf("%s %q cannot be encoded: %w", k, name, err)
	}
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:16])
	return &item{name: name, digest: digest, version: digest, body: body}, nil
}

// newCluster is newItem for a cluster and what must be known of it.
func newCluster(name string, resource message, held model.HeldCluster) (*item, error) {
	made, err := newItem(clusters, name, resource)
	if err != nil {
		return nil, err
	}
	held.Name = name
	made.held = held
	if !held.Lapses.IsZero() {
		made.version += "@" + strconv.FormatInt(held.Lapses.UnixMilli(), 10)
	}
	return made, nil
}

// newListener is newItem for a listener and the routes it needs.
func newListener(name string, listener *listenerv3.Listener) (*item, error) {
	made, err := newItem(listeners, name, listener)
	if err != nil {
		return nil, err
	}
	if made.routes, err = routesOf(listener); err != nil {
		return nil, fmt.Errorf("%s %q: %w", listeners, name, err)
	}
	return made, nil
}

// nameOf is the name that Envoy knows the resource by.
func nameOf(resource message) string {
	switch named := resource.(type) {
	case interface{ GetName() string }:
		return named.GetName()
	case interface{ GetClusterName() string }:
		return named.GetClusterName()
	default:
		return ""
	}
}

// digestOf is the digest within a version.
func digestOf(version string) string {
	digest, _, _ := strings.Cut(version, "@")
	return digest
}

// lapsed says whether the cluster must not be used any more.
func (i *item) lapsed(now time.Time) bool {
	return !i.held.Lapses.IsZero() && !now.Before(i.held.Lapses)
}
