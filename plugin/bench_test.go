package plugin

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/command"
	"github.com/backendtls/backendtls/test/leak"
	"github.com/backendtls/backendtls/test/pki"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	// The schemas of all kinds and their rules stay for good, and are most of the
	// heap: garbage need not be looked for among them that often.
	debug.SetGCPercent(200)
	leak.Main(m)
}

// now is when the tests happen.
var now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// bench runs command lines against real servers on loopback, which go by the
// fixed addresses of the fixtures.
type bench struct {
	t       *testing.T
	testing string // the package's directory
	lock    sync.Mutex
	servers map[string]string
	stdin   io.Reader
	// readings are those of every test with the fixture.
	readings *collect.Readings
}

// newBench makes a copy of a fixture in the working directory of the test:
// testdata/NAME as NAME, its state as NAME/.backendtls.
func newBench(t *testing.T, fixture string) *bench {
	t.Helper()
	origin, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t: t, testing: origin, servers: map[string]string{}, stdin: strings.NewReader(""), readings: fixtures.of(fixture),
	}
	t.Setenv("COLUMNS", "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Chdir(t.TempDir())
	b.copy(filepath.Join(origin, "testdata", fixture), fixture)
	b.count(fixture)
	return b
}

// count writes the generations that an operator counted, all 1.
func (b *bench) count(dir string) {
	b.t.Helper()
	files, err := manifest.ReadDir(dir)
	if err != nil {
		b.t.Fatal(err)
	}
	counted, err := counts.of(files)
	if err != nil {
		b.t.Fatal(err)
	}
	state := manifest.StateDir(dir)
	if err := os.MkdirAll(state, 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(manifest.GenerationsPath(state), counted, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// fixtures are the readings of each fixture. Every command line reads all files of
// its own directory, and parses the documents that no test before it had.
var fixtures readings

type readings struct {
	lock sync.Mutex
	all  map[string]*collect.Readings
}

func (r *readings) of(fixture string) *collect.Readings {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.all == nil {
		r.all = map[string]*collect.Readings{}
	}
	if r.all[fixture] == nil {
		r.all[fixture] = new(collect.Readings)
	}
	return r.all[fixture]
}

// counts are the generations of what was counted already: reading the manifests
// of a fixture costs more than most tests that have it.
var counts counting

type counting struct {
	lock  sync.Mutex
	known map[string][]byte
}

func (c *counting) of(files []manifest.File) ([]byte, error) {
	digest := sha256.New()
	for _, file := range files {
		fmt.Fprintf(digest, "%s\x00%d\x00%s", file.Path, len(file.Data), file.Data)
	}
	name := string(digest.Sum(nil))
	c.lock.Lock()
	defer c.lock.Unlock()
	if known, found := c.known[name]; found {
		return known, nil
	}
	set, _ := manifest.Parse(files)
	counted, err := manifest.Generations{}.Next(set).Encode()
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known = map[string][]byte{}
	}
	c.known[name] = counted
	return counted, nil
}

// copy copies a fixture, with @spki:NAME@ and @cert:NAME@ replaced by the pins
// of a certificate and @pem:NAME@ by the certificate, as a quoted string.
func (b *bench) copy(from, to string) {
	b.t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if relative == "state" || strings.HasPrefix(relative, "state/") {
			relative = ".backendtls" + strings.TrimPrefix(relative, "state")
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, []byte(b.filled(string(data))), 0o600)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) filled(text string) string {
	for _, name := range identities() {
		for mark, value := range map[string]func(*x509.Certificate) string{
			"@spki:": func(c *x509.Certificate) string { return pin.OfKey(c).String() },
			"@cert:": func(c *x509.Certificate) string { return pin.OfCertificate(c).String() },
			"@pem:": func(c *x509.Certificate) string {
				return fmt.Sprintf("%q", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
			},
		} {
			if strings.Contains(text, mark+name+"@") {
				leaf, err := x509.ParseCertificate(b.identity(name).Certificate[0])
				if err != nil {
					b.t.Fatal(err)
				}
				text = strings.ReplaceAll(text, mark+name+"@", value(leaf))
			}
		}
	}
	return text
}

// run runs one command line and returns its exit code and output.
func (b *bench) run(args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	return b.runContext(b.t.Context(), args...)
}

func (b *bench) runContext(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	code = run(ctx, args, command.Options{
		In: b.stdin, Out: &out, ErrOut: &errOut,
		Program:  "kubectl backendtls",
		Now:      func() time.Time { return now },
		Dial:     b.dial,
		Readings: b.readings,
		Lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			address, err := netip.ParseAddr(host)
			if err != nil {
				return nil, fmt.Errorf("lookup %s: no such host", host)
			}
			return []netip.Addr{address}, nil
		},
	})
	return code, out.String(), errOut.String()
}

// dial connects to the server that goes by the address.
func (b *bench) dial(ctx context.Context, network, address string) (net.Conn, error) {
	b.lock.Lock()
	server, found := b.servers[address]
	b.lock.Unlock()
	if !found {
		return nil, errors.New("dial tcp " + address + ": connect: connection refused")
	}
	return new(net.Dialer).DialContext(ctx, network, server)
}

// golden compares the output of a command line with testdata/golden/NAME.txt;
// UPDATE_GOLDEN=1 writes it.
func (b *bench) golden(t *testing.T, name string, args ...string) {
	t.Helper()
	code, stdout, stderr := b.run(args...)
	var got strings.Builder
	fmt.Fprintf(&got, "$ kubectl backendtls %s\n%s", strings.Join(args, " "), stdout)
	if stderr != "" {
		fmt.Fprintf(&got, "--- stderr\n%s", stderr)
	}
	fmt.Fprintf(&got, "--- exit code %d\n", code)
	path := filepath.Join(b.testing, "testdata", "golden", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s (UPDATE_GOLDEN=1 writes it): got\n%s\nwant\n%s", path, got.String(), want)
	}
}

// serve starts a TLS server that goes by the addresses.
func (b *bench) serve(identity tls.Certificate, addresses ...string) {
	b.t.Helper()
	b.listen(func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{identity}, MinVersion: tls.VersionTLS13})
		_ = server.HandshakeContext(b.t.Context())
		_, _ = io.Copy(io.Discard, server)
	}, addresses...)
}

// listen starts a server that goes by the addresses and ends with the test.
func (b *bench) listen(handle func(net.Conn), addresses ...string) {
	b.t.Helper()
	listener, err := new(net.ListenConfig).Listen(b.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	b.t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, address := range addresses {
		b.servers[address] = listener.Addr().String()
	}
}

// identities are the certificates of the tests, each with its private key in
// testdata/pki/NAME.pem, so that goldens hold their fingerprints.
func identities() []string {
	return []string{"ca", "api", "other", "expired", "good", "named", "hostile"}
}

// identity loads a certificate. UPDATE_GOLDEN=1 makes those that are missing.
func (b *bench) identity(name string) tls.Certificate {
	b.t.Helper()
	path := filepath.Join(b.testing, "testdata", "pki", name+".pem")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && os.Getenv("UPDATE_GOLDEN") != "" {
		b.issue(path, name)
	}
	loaded, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		b.t.Fatal(err)
	}
	return loaded
}

// issue makes a certificate: the CA and what is self-signed by themselves, the
// others by the CA.
func (b *bench) issue(path, name string) {
	b.t.Helper()
	request := pki.Request{
		Name: name, DNS: []string{name + ".example.com"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}
	var made *pki.Identity
	var err error
	switch name {
	case "ca":
		request.CA, request.DNS, request.NotAfter = true, nil, now.AddDate(9, 0, 0)
		made, err = pki.SelfSigned(request)
	case "api", "other":
		made, err = pki.SelfSigned(request)
	case "hostile":
		request.Name = "\x1b[2J\u202eevil\x07\nVERDICT: passes"
		request.URIs = []string{"spiffe://evil/%1b%5b31m"}
		made, err = pki.SelfSigned(request)
	case "expired":
		request.NotAfter = now.AddDate(0, 0, -3)
		made, err = b.authority().Issue(request)
	case "named":
		request.DNS = []string{"internal.example.com"}
		made, err = b.authority().Issue(request)
	default:
		request.DNS = append(request.DNS, "mixed.example.com", "multi.example.com")
		made, err = b.authority().Issue(request)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := made.KeyPEM()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, append(made.ChainPEM(), key...), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) authority() *pki.Identity {
	b.t.Helper()
	loaded := b.identity("ca")
	cert, err := x509.ParseCertificate(loaded.Certificate[0])
	if err != nil {
		b.t.Fatal(err)
	}
	return &pki.Identity{Certificate: cert, Key: loaded.PrivateKey.(crypto.Signer)}
}
