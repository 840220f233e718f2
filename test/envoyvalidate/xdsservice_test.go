package envoyvalidate_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/test/envoyvalidate"
	"github.com/backendtls/backendtls/test/pki"
)

const xdsName = "backendtls-xds.backendtls-system.svc"

// volume is a directory whose files are replaced as kubelet replaces those of
// a ConfigMap or a projected volume: by renaming a symbolic link.
type volume struct {
	t       *testing.T
	dir     string
	version int
}

func newVolume(t *testing.T, files map[string]string) *volume {
	v := &volume{t: t, dir: t.TempDir()}
	v.write(files)
	for name := range files {
		v.must(os.Symlink(filepath.Join("..data", name), v.path(name)))
	}
	return v
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) write(files map[string]string) {
	v.t.Helper()
	v.version++
	payload := "..payload-" + time.Unix(int64(v.version), 0).UTC().Format("150405")
	v.must(os.Mkdir(v.path(payload), 0o755))
	for name, content := range files {
		v.must(os.WriteFile(filepath.Join(v.path(payload), name), []byte(content), 0o644))
	}
	before, _ := os.Readlink(v.path("..data"))
	v.must(os.Symlink(payload, v.path("..data_tmp")))
	v.must(os.Rename(v.path("..data_tmp"), v.path("..data")))
	if before != "" {
		v.must(os.RemoveAll(v.path(before)))
	}
}

func (v *volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// controlPlane is an xDS server that answers nothing but that there is nothing,
// and remembers what each stream came with.
type controlPlane struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	server *grpc.Server
	port   uint32
	end    chan struct{}

	mu   sync.Mutex
	came []string
}

func (c *controlPlane) DeltaAggregatedResources(
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	incoming, _ := metadata.FromIncomingContext(stream.Context())
	c.mu.Lock()
	c.came = append(c.came, incoming.Get("authorization")...)
	end := c.end
	c.mu.Unlock()
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			if request.GetResponseNonce() != "" {
				continue
			}
			_ = stream.Send(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: request.GetTypeUrl(), Nonce: "1"})
		}
	}()
	select {
	case <-stream.Context().Done():
	case <-end:
	}
	return status.Error(codes.Unavailable, "the stream ends")
}

// disconnect ends all streams.
func (c *controlPlane) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.end)
	c.end = make(chan struct{})
}

func (c *controlPlane) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.came) == 0 {
		return ""
	}
	return c.came[len(c.came)-1]
}

// serve listens, on the same port every time, with the identity.
func (c *controlPlane) serve(t *testing.T, identity *pki.Identity) {
	t.Helper()
	if c.server != nil {
		c.server.Stop()
	}
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(c.port)).String()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.port = uint32(netip.MustParseAddrPort(listener.Addr().String()).Port())
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{identity.TLS()},
	})))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, c)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	c.server = server
	t.Cleanup(func() { server.Stop(); <-served })
}

func authority(t *testing.T) *pki.Identity {
	t.Helper()
	made, err := pki.SelfSigned(pki.Request{
		Name: "xds", CA: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func issue(t *testing.T, ca *pki.Identity, name string) *pki.Identity {
	t.Helper()
	made, err := ca.Issue(pki.Request{
		Name: name, DNS: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func trustFile(t *testing.T, authorities ...*pki.Identity) map[string]string {
	t.Helper()
	var bundle []byte
	for _, ca := range authorities {
		bundle = append(bundle, ca.PEM()...)
	}
	file, err := envoy.XDSTrust(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"ca.json": string(file)}
}

func TestEnvoyReachesAControlPlaneByTLSAndTakesNewTokensAndAuthoritiesAsItRuns(t *testing.T) {
	first, second := authority(t), authority(t)
	plane := &controlPlane{end: make(chan struct{})}
	plane.serve(t, issue(t, first, xdsName))

	token := newVolume(t, map[string]string{"token": "token-1"})
	config := newVolume(t, trustFile(t, first))
	pointer, err := envoy.XDSCredential(token.path("token"))
	if err != nil {
		t.Fatal(err)
	}
	credential := newVolume(t, map[string]string{"credential.json": string(pointer)})
	bootstrap, err := envoy.NewBootstrap(envoy.BootstrapConfig{
		NodeID: "envoy-1", NodeCluster: "default/gw", AdminSocket: filepath.Join(t.TempDir(), "admin.sock"),
		Service: &envoy.XDSService{
			Host: "localhost", Port: plane.port, ServerName: xdsName,
			TrustFile: config.path("ca.json"), CredentialFile: credential.path("credential.json"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	running := envoyvalidate.Start(t, bootstrap)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(running.Words())
		}
	})
	arrives := func(want string) {
		t.Helper()
		envoyvalidate.Eventually(t, "a stream comes with "+want, func() bool { return plane.last() == want })
	}
	arrives("Bearer token-1")

	token.write(map[string]string{"token": "token-2"})
	envoyvalidate.Eventually(t, "the next stream comes with the new token", func() bool {
		plane.disconnect()
		return plane.last() == "Bearer token-2"
	})

	// Rotation of the authority: first it is trusted too, then it signs.
	config.write(trustFile(t, first, second))
	plane.serve(t, issue(t, second, xdsName))
	token.write(map[string]string{"token": "token-3"})
	arrives("Bearer token-3")

	// The first is trusted no longer, nor is another name of the second.
	config.write(trustFile(t, second))
	for counter, identity := range map[string]*pki.Identity{
		"cluster.backendtls-xds.ssl.fail_verify_error": issue(t, first, xdsName),
		"cluster.backendtls-xds.ssl.fail_verify_san":   issue(t, second, "other.test"),
	} {
		token.write(map[string]string{"token": "token-4"})
		plane.serve(t, identity)
		envoyvalidate.Eventually(t, "Envoy refuses the certificate", func() bool { return running.Stat(t, counter) > 1 })
		if plane.last() != "Bearer token-3" {
			t.Fatalf("%s: a stream came with %q", counter, plane.last())
		}
	}
}
