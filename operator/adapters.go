package operator

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/operator/authn"
	"github.com/backendtls/backendtls/operator/ledger"
	"github.com/backendtls/backendtls/operator/loop"
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
