package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// backends are TLS servers with one self-signed certificate. EndpointSlices
// have one port for all addresses, so they listen on one port of several
// loopback addresses.
type backends struct {
	addresses []netip.AddrPort
	servers   []*http.Server
	serving   sync.WaitGroup
}

// startBackends finds addresses and serves the certificate there.
func startBackends(ctx context.Context, n int, certificate tls.Certificate) (*backends, error) {
	listeners, err := listenTogether(ctx, n)
	if err != nil {
		return nil, err
	}
	b := &backends{}
	for _, listener := range listeners {
		b.addresses = append(b.addresses, netip.MustParseAddrPort(listener.Addr().String()))
	}
	b.serve(listeners, certificate)
	return b, nil
}

// restart serves another certificate at the same addresses. Like a pod that
// restarts, it ends the connections made under the old one.
func (b *backends) restart(ctx context.Context, certificate tls.Certificate) error {
	b.close()
	var listeners []net.Listener
	for _, address := range b.addresses {
		listener, err := listen(ctx, address.String())
		if err != nil {
			return fmt.Errorf("restarting backend %s: %w", address, err)
		}
		listeners = append(listeners, listener)
	}
	b.serve(listeners, certificate)
	return nil
}

func (b *backends) serve(listeners []net.Listener, certificate tls.Certificate) {
	b.servers = nil
	for i, listener := range listeners {
		greeting := fmt.Sprintf("hello from backend %d\n", i+1)
		server := &http.Server{
			ReadHeaderTimeout: 10 * time.Second,
			// Refused handshakes are the point of the demo, not news.
			ErrorLog: log.New(io.Discard, "", 0),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, greeting)
			}),
			TLSConfig: &tls.Config{
				MinVersion:   tls.VersionTLS12,
				Certificates: []tls.Certificate{certificate},
			},
		}
		b.servers = append(b.servers, server)
		b.serving.Go(func() { _ = server.ServeTLS(listener, "", "") })
	}
}

func (b *backends) close() {
	for _, server := range b.servers {
		_ = server.Close()
	}
	b.serving.Wait()
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// listenTogether finds n loopback addresses with a common free port.
func listenTogether(ctx context.Context, n int) ([]net.Listener, error) {
	var faults []error
	for range 20 {
		listeners := make([]net.Listener, 0, n)
		port := "0"
		for range n {
			listener, err := listen(ctx, net.JoinHostPort(randomLoopback().String(), port))
			if err != nil {
				faults = append(faults, err)
				break
			}
			_, port, _ = net.SplitHostPort(listener.Addr().String())
			listeners = append(listeners, listener)
		}
		if len(listeners) == n {
			return listeners, nil
		}
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}
	return nil, fmt.Errorf("finding a port that is free on %d loopback addresses: %w", n, errors.Join(faults...))
}
