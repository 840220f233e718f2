package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/backendtls/backendtls/test/pki"
)

//go:embed manifests.yaml
var manifests string

//go:embed parameters.yaml
var parameters string

// hostname is the name that the policy asks for and the certificate carries.
const hostname = "api.demo.svc"

// world is the directory of manifests and the backends that they name.
type world struct {
	dir      string
	gateway  netip.AddrPort
	backends *backends
}

// newWorld makes a directory of its own, so that two demos can run at once:
// each has its own random loopback addresses, and ports that are free there.
func newWorld(ctx context.Context, root string) (*world, error) {
	dir, err := ownDirectory(root)
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir}
	if err := w.fill(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) fill(ctx context.Context) error {
	identity, err := selfSigned(pki.Request{Name: "api", DNS: []string{hostname}})
	if err != nil {
		return err
	}
	if w.backends, err = startBackends(ctx, 2, identity.TLS()); err != nil {
		return err
	}
	if w.gateway, err = freeAddress(ctx); err != nil {
		return err
	}
	authority, err := selfSigned(pki.Request{Name: "Demo CA, not the issuer of the backend's certificate", CA: true})
	if err != nil {
		return err
	}
	return errors.Join(
		w.write("demo.yaml", manifests, map[string]any{
			"Gateway":   w.gateway,
			"Backends":  w.backends.addresses,
			"Hostname":  hostname,
			"Authority": strings.TrimSpace(string(authority.PEM())),
		}),
		w.allow(false),
	)
}

// newKey restarts the backends with a new self-signed certificate and key.
func (w *world) newKey(ctx context.Context) error {
	identity, err := selfSigned(pki.Request{Name: "api", DNS: []string{hostname}})
	if err != nil {
		return err
	}
	return w.backends.restart(ctx, identity.TLS())
}

// selfSigned is valid from a minute ago, for three months.
func selfSigned(request pki.Request) (*pki.Identity, error) {
	request.NotBefore = time.Now().Add(-time.Minute)
	request.NotAfter = request.NotBefore.AddDate(0, 3, 0)
	identity, err := pki.SelfSigned(request)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return identity, nil
}

// allow writes the GatewayParameters: what the gateway operator decides.
func (w *world) allow(skip bool) error {
	return w.write("parameters.yaml", parameters, map[string]any{"Skip": skip})
}

func (w *world) write(name, text string, values map[string]any) error {
	content, err := fillIn(name, text, values)
	if err != nil {
		return err
	}
	// By rename, as every careful tool does, although the operator would also
	// bear a half-written file.
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(filepath.Join(w.dir, "."+name), []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(filepath.Join(w.dir, "."+name), path)
}

// fillIn fills values into a manifest.
func fillIn(name, text string, values map[string]any) (string, error) {
	indent := func(n int, s string) string {
		return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
	}
	parsed, err := template.New(name).Funcs(template.FuncMap{"indent": indent}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, values); err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	return b.String(), nil
}

// ownDirectory makes a directory of its own in root.
func ownDirectory(root string) (string, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("making the demo's directory: %w", err)
	}
	dir, err := os.MkdirTemp(root, "run-")
	if err != nil {
		return "", fmt.Errorf("making the demo's directory: %w", err)
	}
	return dir, nil
}

func (w *world) close() error {
	if w.backends != nil {
		w.backends.close()
	}
	err := os.RemoveAll(w.dir)
	// The root goes too once the last demo has left it.
	_ = os.Remove(filepath.Dir(w.dir))
	return err
}

// freeAddress finds a loopback address and a port that nobody listens on.
func freeAddress(ctx context.Context) (netip.AddrPort, error) {
	address := randomLoopback()
	listener, err := listen(ctx, net.JoinHostPort(address.String(), "0"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("finding a free port on %s: %w", address, err)
	}
	defer func() { _ = listener.Close() }()
	return netip.ParseAddrPort(listener.Addr().String())
}

// randomLoopback is an address out of 127.64.0.0/10, far from the ones that
// people and the operator choose.
func randomLoopback() netip.Addr {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	n := binary.BigEndian.Uint32(random[:])
	return netip.AddrFrom4([4]byte{127, byte(64 + n>>16&0x3f), byte(n >> 8), byte(1 + n%254)})
}
