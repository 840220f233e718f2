package model

import (
	"fmt"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// BackendProtocol is what Envoy speaks to the backend, inside TLS if any.
type BackendProtocol string

// The backend protocols.
const (
	HTTP1 BackendProtocol = "http/1.1"
	HTTP2 BackendProtocol = "h2"
	// TCP is whatever client and backend agree on: Envoy passes bytes on.
	TCP BackendProtocol = "tcp"
)

// Backend is one port of one Service under one trust: one Envoy cluster and
// one endpoint assignment. A change of trust is another Backend, never a
// change of this one (docs/architecture.md, "Never a change in place").
type Backend struct {
	Service gwapi.Key
	Port    int32
	// PortName is the name of the Service's port, "" for the only one; slices
	// list their ports by it.
	PortName string
	Protocol BackendProtocol
	// Mirror says that it gets copies of requests, never requests themselves. Nobody
	// waits for its answers, so it has limits of its own: see MirrorLimit.
	Mirror bool `json:",omitzero"`
	// Trust is what Envoy enforces; nil is plaintext.
	Trust *Trust
	// Written is the policy without its mode, what strict verification would
	// check. It is not part of the name and never reaches Envoy.
	Written *Trust
	// SessionLimit ends requests over a connection with a trust; see LimitSession.
	SessionLimit time.Duration `json:",omitzero"`
	// Checked is the digest of Written without its ALPN where live checks are on,
	// "" elsewhere. It is not part of the name.
	Checked string `json:",omitzero"`
}

// Name is the name of the Envoy cluster and of its endpoint assignment:
// namespace/service/port/digest, the digest covering protocol, trust, limit and
// whether it gets copies.
func (b Backend) Name() string {
	decided := []any{b.Protocol, b.Trust.canonical()}
	if b.SessionLimit != 0 {
		// Left out where 0: what was added later must not rename every cluster.
		decided = append(decided, b.SessionLimit)
	}
	if b.Mirror {
		decided = append(decided, "mirror")
	}
	return fmt.Sprintf("%s/%s", b.StatName(), digest(decided...)[:16])
}

// StatName is namespace/service/port: the name statistics are kept under,
// so that they go on across a change of trust.
func (b Backend) StatName() string {
	return fmt.Sprintf("%s/%s/%d", b.Service.Namespace, b.Service.Name, b.Port)
}
