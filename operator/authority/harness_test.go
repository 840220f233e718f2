package authority

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/operator/apitest"
)

const serverName = "backendtls-xds.backendtls-system.svc"

// cluster is an API server with the Secret as the manifests ship it, and a
// clock.
type cluster struct {
	*apitest.Server
	t   *testing.T
	now atomic.Pointer[time.Time]
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Server: apitest.New(t), t: t}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.now.Store(&begin)
	c.Put(shipped())
	return c
}

func shipped() *corev1.Secret {
	secret := &corev1.Secret{Type: corev1.SecretTypeOpaque}
	secret.Namespace, secret.Name = "backendtls-system", Secret
	secret.Labels = map[string]string{"app.kubernetes.io/part-of": "backendtls"}
	return secret
}

func (c *cluster) pass(d time.Duration) {
	later := c.now.Load().Add(d)
	c.now.Store(&later)
}

// secret is what the API server has.
func (c *cluster) secret() *corev1.Secret {
	c.t.Helper()
	secret := shipped()
	if !c.Get(secret) {
		c.t.Fatal("the secret is gone")
	}
	return secret
}

// edit changes the Secret, as kubectl edit does.
func (c *cluster) edit(change func(*corev1.Secret)) {
	c.t.Helper()
	secret := c.secret()
	change(secret)
	if err := c.Client().Update(c.t.Context(), secret); err != nil {
		c.t.Fatal(err)
	}
}

// replica is one Authority. It leads if that is set.
type replica struct {
	*Authority
	t     *testing.T
	leads atomic.Bool
	words *words
}

type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (c *cluster) replica(leads bool, changes ...func(*Config)) *replica {
	c.t.Helper()
	r := &replica{t: c.t, words: &words{}}
	r.leads.Store(leads)
	config := Config{
		Client: c.Client(), Namespace: "backendtls-system", Leading: r.leads.Load,
		ServerNames: []string{serverName, "localhost"},
		Log:         slog.New(slog.NewTextHandler(r.words, nil)),
		Now:         func() time.Time { return *c.now.Load() },
	}
	for _, change := range changes {
		change(&config)
	}
	a, err := Open(c.t.Context(), config)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Authority = a
	return r
}

// look is what Run does every period.
func (r *replica) look() { r.step(r.t.Context()) }

// trusted are the names of the CAs in a bundle.
func trusted(t *testing.T, bundle []byte) (names []string) {
	t.Helper()
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.CommonName)
	}
	return names
}

// signer is the name of the CA that a server's certificate is of.
func (r *replica) signer() string {
	r.t.Helper()
	certificate, err := r.TLSConfig().GetCertificate(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return certificate.Leaf.Issuer.CommonName
}

// accepts says whether a client that has this bundle, at the time of the
// cluster, accepts the server.
func (c *cluster) accepts(server *replica, bundle []byte) error {
	c.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: serverName,
		Time: func() time.Time { return *c.now.Load() },
	}
	return handshake(c.t, server.TLSConfig(), config)
}

// handshake is the client's verdict.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = tls.Server(conn, server).HandshakeContext(ctx)
		_ = conn.Close()
	}()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = tls.Client(conn, client).HandshakeContext(ctx)
	_ = conn.Close()
	<-done
	return err
}
