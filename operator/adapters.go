package operator

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/authn"
	"github.com/backendtls/backendtls/operator/ledger"
	"github.com/backendtls/backendtls/operator/loop"
	"github.com/backendtls/backendtls/operator/watch"
	"github.com/backendtls/backendtls/operator/xds"
)

// Rooms do not know each other: what one says is put into the other's words
// here.

// envoyPods identifies Envoys for the xDS server.
type envoyPods struct{ *authn.Authenticator }

func (e envoyPods) Identify(ctx context.Context) (xds.Peer, error) {
	peer, err := e.Authenticator.Identify(ctx)
	return xds.Peer(peer), err
}

// operatorPods identifies other replicas for the ledger.
type operatorPods struct{ *authn.Authenticator }

func (o operatorPods) Identify(ctx context.Context) (ledger.Caller, error) {
	caller, err := o.Caller(ctx)
	return ledger.Caller(caller), err
}

// shared is a publisher that knows what Envoys acknowledged to any replica. An
// Envoy that is gone is dropped by each replica from its own ledger.
type shared struct {
	publisher

	ledger *ledger.Ledger
}

func (s shared) Envoys() map[gwapi.Key][]model.Envoy { return s.ledger.Envoys() }
func (s shared) Changes() <-chan struct{}            { return s.ledger.Changes() }

// gate opens once.
type gate struct {
	open chan struct{}
	once sync.Once
}

func (g *gate) pass() { g.once.Do(func() { close(g.open) }) }

// firstSink opens a gate at the first set of statuses: everything was decided
// and published by then.
type firstSink struct {
	loop.StatusSink

	gate *gate
}

func (f firstSink) Put(desired report.Set) {
	f.StatusSink.Put(desired)
	f.gate.pass()
}

// sliceSinks tell each of several of the EndpointSlices of a Service.
type sliceSinks []watch.EndpointSink

func (s sliceSinks) SetSlices(service types.NamespacedName, endpointSlices []*discoveryv1.EndpointSlice) {
	for _, sink := range s {
		sink.SetSlices(service, endpointSlices)
	}
}

// podReader reads Pods from the API server itself: the cache has only those of
// fleets, and what decides whom to dial must not be old.
type podReader struct{ pods corev1client.PodsGetter }

func (r podReader) read(ctx context.Context, name types.NamespacedName) (*corev1.Pod, error) {
	return r.pods.Pods(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
}

// addressOf is the API server's address, where the configuration has one instead
// of a name.
func addressOf(config *rest.Config) []netip.Addr {
	server, err := url.Parse(config.Host)
	if err != nil {
		return nil
	}
	host := server.Hostname()
	if host == "" {
		host = config.Host // It may be an address alone.
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	return []netip.Addr{address.Unmap()}
}

// portOf is the port of an address to listen on.
func portOf(address string) (uint16, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q: must be a number from 1 to 65535", text)
	}
	return uint16(port), nil
}
