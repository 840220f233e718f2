package authn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/operator/authn"
	"github.com/backendtls/backendtls/operator/authority"
	"github.com/backendtls/backendtls/operator/xds"
	"github.com/backendtls/backendtls/test/port"
)

// stored is the Secret of the CA, with a request to rotate that may be set.
type stored struct {
	mu     sync.Mutex
	secret corev1.Secret
}

func (s *stored) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret.DeepCopyInto(o.(*corev1.Secret))
	return nil
}

func (s *stored) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.(*corev1.Secret).DeepCopyInto(&s.secret)
	return nil
}

// controlPlane is an operator as its Envoy sees it.
type controlPlane struct {
	*apiServer
	secret stored
	// ahead is how much later it is for the CA.
	ahead atomic.Int64
}

// authority is one that has just read the Secret, and leads.
func (c *controlPlane) authority() *authority.Authority {
	c.t.Helper()
	ca, err := authority.Open(c.t.Context(), authority.Config{
		Client: &c.secret, Namespace: "backendtls-system", Leading: func() bool { return true },
		ServerNames: []string{"localhost"},
		Now:         func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return ca
}

// serve runs an xDS server at the address, "127.0.0.1:0" for any.
func (c *controlPlane) serve(address string, ca *authority.Authority) (server *xds.Server, at string, stop func()) {
	c.t.Helper()
	envoys, err := authn.New(authn.Config{Reviewer: c.client(), Lookup: fleet, Audience: audience})
	if err != nil {
		c.t.Fatal(err)
	}
	server, err = xds.New(xds.Config{
		Authenticator: identifyFunc(func(ctx context.Context) (xds.Peer, error) {
			p, err := envoys.Identify(ctx)
			return xds.Peer(p), err
		}),
		Credentials: credentials.NewTLS(ca.TLSConfig()),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	server.Publish(web, xds.Publication{})
	listener, err := (&net.ListenConfig{}).Listen(c.t.Context(), "tcp", address)
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	stop = sync.OnceFunc(func() {
		server.Stop()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(stop)
	return server, listener.Addr().String(), stop
}

// volume is a directory as the kubelet keeps it: all files change at once, when
// a link is renamed.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func (v *volume) write(name string, content []byte) string {
	v.t.Helper()
	v.n++
	fresh := filepath.Join(v.dir, "..", filepath.Base(v.dir)+"-"+strings.Repeat("x", v.n))
	for _, err := range []error{
		os.MkdirAll(fresh, 0o700),
		os.MkdirAll(v.dir, 0o700),
		os.WriteFile(filepath.Join(fresh, name), content, 0o600),
		os.Symlink(fresh, filepath.Join(v.dir, "..data_tmp")),
		os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")),
	} {
		if err != nil {
			v.t.Fatal(err)
		}
	}
	path := filepath.Join(v.dir, name)
	if err := os.Symlink(filepath.Join("..data", name), path); err != nil && !os.IsExist(err) {
		v.t.Fatal(err)
	}
	return path
}

func (v *volume) trust(ca *authority.Authority) string {
	v.t.Helper()
	content, err := envoy.XDSTrust(ca.Bundle())
	if err != nil {
		v.t.Fatal(err)
	}
	return v.write("trust.json", content)
}

// startEnvoy starts a real one.
func startEnvoy(t *testing.T, address, trustFile, tokenFile string) {
	t.Helper()
	if os.Getenv("ENVOY") == "" {
		t.Fatal("ENVOY is not set: name an Envoy binary; `make test` fetches one and sets it")
	}
	dir := t.TempDir()
	credential, err := envoy.XDSCredential(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	credentialFile := filepath.Join(dir, "credential.json")
	_, port, _ := net.SplitHostPort(address)
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoy.Bootstrap(envoy.BootstrapConfig{
		NodeID: "liar", NodeCluster: "edge/other", AdminSocket: filepath.Join(dir, "admin"), Connections: 100,
		Service: &envoy.XDSService{
			Host: "127.0.0.1", Port: uint32(number), ServerName: "localhost",
			TrustFile: trustFile, CredentialFile: credentialFile,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bootstrap.json")
	for path, content := range map[string][]byte{file: config, credentialFile: credential} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var words bytes.Buffer
	command := exec.CommandContext(t.Context(), os.Getenv("ENVOY"), "--config-path", file,
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
	command.Stdout, command.Stderr = io.Discard, &words
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("envoy wrote: %.4000s", &words)
		}
	})
}

// awaitEnvoy waits until envoy-1 is connected to the server, or is not.
func awaitEnvoy(t *testing.T, server *xds.Server, connected bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		envoys := server.Envoys()[web]
		if (len(envoys) == 1 && envoys[0].Name == "envoy-1" && envoys[0].Connected) == connected {
			return
		}
		select {
		case <-server.Changes():
		case <-limit:
			t.Fatalf("the server has %+v, want connected %v", envoys, connected)
		}
	}
}

func TestARealEnvoyProvesItselfAndFollowsItsTokenAndTheCA(t *testing.T) {
	c := &controlPlane{apiServer: newAPIServer(t)}
	ca := c.authority()
	server, address, stop := c.serve(fmt.Sprintf("127.0.0.1:%d", port.Free(t)), ca)
	trust, token := &volume{t: t, dir: filepath.Join(t.TempDir(), "trust")}, &volume{t: t, dir: filepath.Join(t.TempDir(), "token")}
	first := ofPod("shop", "backendtls-web", "envoy-1", "uid-1")
	first.expires = time.Now().Add(15 * time.Second)
	tokenFile := token.write("token", []byte(c.issue(first)))
	startEnvoy(t, address, trust.trust(ca), tokenFile)
	awaitEnvoy(t, server, true)

	// The token is replaced before it ends; at its end the stream does, and the
	// next one is opened with the new token.
	token.write("token", []byte(c.issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))))
	awaitEnvoy(t, server, false)
	// What the token says is in whole seconds, and its end is brought forward.
	if early := time.Until(first.expires); early > 3*time.Second {
		t.Errorf("the stream ended %s before its token", early)
	}
	awaitEnvoy(t, server, true)

	// The CA is replaced: the new one is trusted, then it signs, in a control plane
	// that Envoy must connect to anew.
	old := ca.Bundle()
	c.secret.mu.Lock()
	c.secret.secret.Annotations = map[string]string{authority.AnnotationRotate: "1"}
	c.secret.mu.Unlock()
	trust.trust(c.authority())
	c.ahead.Store(int64(authority.TrustFirst))
	stop()
	rotated := c.authority()
	if bytes.HasPrefix(rotated.Bundle(), old) {
		t.Fatal("the old CA signs still")
	}
	again, _, _ := c.serve(address, rotated)
	awaitEnvoy(t, again, true)
}

func TestARealEnvoyIsNotServedWithSomebodyElsesToken(t *testing.T) {
	c := &controlPlane{apiServer: newAPIServer(t)}
	ca := c.authority()
	server, address, _ := c.serve("127.0.0.1:0", ca)
	trust, token := &volume{t: t, dir: filepath.Join(t.TempDir(), "trust")}, &volume{t: t, dir: filepath.Join(t.TempDir(), "token")}
	tokenFile := token.write("token", []byte(c.issue(ofPod("bank", "default", "envoy-1", "uid-2"))))
	startEnvoy(t, address, trust.trust(ca), tokenFile)
	limit := time.After(time.Minute)
	for c.count() < 3 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatal("Envoy does not come")
		}
	}
	if got := server.Envoys(); len(got) != 0 {
		t.Errorf("the server has %+v", got)
	}
}
