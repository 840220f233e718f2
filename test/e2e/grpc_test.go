package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/test/pki"
)

// serveGRPC runs a gRPC server until the test ends, over TLS unless identity is
// nil.
func serveGRPC(t *testing.T, identity *pki.Identity) netip.AddrPort {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(randomLoopback().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	if identity != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{identity.TLS()},
		})))
	}
	server := grpc.NewServer(options...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return netip.MustParseAddrPort(listener.Addr().String())
}

// call is the status that a gRPC client gets for a call to a host.
func (w *world) call(host string) *status.Status {
	w.t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+w.gateway.String(), grpc.WithAuthority(host),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	_, err = healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{})
	return status.Convert(err)
}

// grpcService is service with a GRPCRoute in place of the HTTPRoute.
func grpcService(name, host string, backend netip.AddrPort, appProtocol string) string {
	return strings.Replace(service(name, host, backend, appProtocol), "kind: HTTPRoute", "kind: GRPCRoute", 1)
}

func TestWhatAGRPCClientSeesUnderEachPolicy(t *testing.T) {
	f := newFixtures(t)
	secure, plain := serveGRPC(t, f.good), serveGRPC(t, nil)
	rows := []struct {
		name, appProtocol, validation string
		options                       map[string]string
		backend                       netip.AddrPort
		want                          codes.Code
		says                          string
	}{
		{name: "ca", validation: f.trusted, backend: secure, want: codes.OK},
		{name: "plain", backend: plain, want: codes.OK},
		{name: "h2c", appProtocol: "kubernetes.io/h2c", backend: plain, want: codes.OK},
		{
			name: "pin", validation: f.trusted, options: options("pins", f.key(f.other)), backend: secure,
			want: codes.Unavailable, says: "connection failure",
		},
		{name: "missing", validation: f.missing, backend: secure, want: codes.Unknown, says: "no usable backend"},
		{name: "bare", appProtocol: "https", backend: secure, want: codes.Unknown, says: "no usable backend"},
		{name: "deleted", appProtocol: "https", validation: f.trusted, backend: secure, want: codes.OK},
		{name: "unknown-kind", appProtocol: "kubernetes.io/ws", backend: plain, want: codes.Unknown, says: "no usable backend"},
	}
	w := newWorld(t)
	w.base(allowAll)
	var manifests strings.Builder
	manifests.WriteString(f.bundles)
	for _, r := range rows {
		manifests.WriteString(grpcService(r.name, r.name+".test", r.backend, r.appProtocol))
		if r.validation != "" && r.name != "deleted" {
			manifests.WriteString(policy(r.name, r.validation, r.options))
		}
	}
	w.write("rows.yaml", manifests.String())
	w.write("deleted.yaml", policy("deleted", f.trusted, nil))
	w.start()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			w.eventually(fmt.Sprintf("%s is answered with %s", r.name, r.want), func() bool {
				return w.call(r.name+".test").Code() == r.want
			})
			if got := w.call(r.name + ".test"); !strings.Contains(got.Message(), r.says) {
				t.Errorf("the client is told %q, want %q", got.Message(), r.says)
			}
		})
	}
	t.Run("what is no gRPC goes nowhere", func(t *testing.T) {
		if got := w.get("ca.test"); got != http.StatusNotFound {
			t.Errorf("got %d", got)
		}
	})
	t.Run("a host that nobody has is unimplemented", func(t *testing.T) {
		if got := w.call("nobody.test"); got.Code() != codes.Unimplemented {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a policy that goes leaves no plaintext behind", func(t *testing.T) {
		if err := os.Remove(filepath.Join(w.dir, "deleted.yaml")); err != nil {
			t.Fatal(err)
		}
		w.eventually("calls fail", func() bool { return w.call("deleted.test").Code() == codes.Unknown })
	})
}
