package operator

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/operator/loop"
	"github.com/backendtls/backendtls/operator/metrics"
	"github.com/backendtls/backendtls/operator/xds"
)

// countedPeers counts who is let in.
type countedPeers struct {
	xds.Authenticator

	streams *metrics.Streams
}

func (c countedPeers) Identify(ctx context.Context) (xds.Peer, error) {
	peer, err := c.Authenticator.Identify(ctx)
	c.streams.Authenticated(err)
	return peer, err
}

// countedPublisher counts what is published.
type countedPublisher struct {
	loop.Publisher

	streams *metrics.Streams
}

func (c countedPublisher) Publish(gateway gwapi.Key, resources envoy.Resources, shares map[gwapi.Key]string) {
	c.streams.Published()
	c.Publisher.Publish(gateway, resources, shares)
}

// lastEnd is the latest end of the certificates in a PEM text; zero without any.
func lastEnd(text []byte) time.Time {
	var last time.Time
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && certificate.NotAfter.After(last) {
			last = certificate.NotAfter
		}
	}
	return last
}
