package plugin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/manifest"
)

// newOdd is the bench with one Service, behind which every endpoint is something
// else. Their pods are called by what they are.
func newOdd(t *testing.T) *clusterShop {
	t.Helper()
	b := newBench(t, "odd")
	content, err := os.ReadFile(filepath.Join("odd", "odd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, document := range manifest.Documents(content) {
		var slice discoveryv1.EndpointSlice
		if err := yaml.Unmarshal(content[document.Start:document.End], &slice); err != nil || slice.Kind != "EndpointSlice" {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			name := endpoint.TargetRef.Name
			serve, found := b.odd(name)
			if !found && name != "closed" {
				t.Fatalf("nothing serves as %s", name)
			}
			served[name] = true
			if found {
				b.listen(serve, endpoint.Addresses[0]+":8443")
			}
		}
	}
	if len(served) < 25 {
		t.Fatalf("only %d kinds of endpoints", len(served))
	}
	return newClusterOf(t, b, "odd")
}

// says is a server that speaks first.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// answers is one that waits for the client's first words.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, text)
	}
}

// odd is how an endpoint of the name serves.
func (b *bench) odd(name string) (serve func(net.Conn), found bool) {
	plain := map[string]func(net.Conn){
		"smtp": says("220 mail.example.com ESMTP Postfix\r\n"), "ftp": says("220 (vsFTPd 3.0.5)\r\n"),
		"imap": says("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"), "pop3": says("+OK ready\r\n"),
		"ldap":     answers("\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x02\x04\x00\x04\x00"),
		"nats":     says(`INFO {"server_id":"N","version":"2.12.0","tls_available":true}` + "\r\n"),
		"mysql":    says("J\x00\x00\x00\n8.4.0\x00"),
		"postgres": answers("E\x00\x00\x00\x60SFATAL\x00VFATAL\x00"),
		"http":     answers("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"),
		"http2":    says("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
		"ssh":      says("SSH-2.0-OpenSSH_9.6\r\n"),
		"redis":    answers("-ERR Protocol error: unauthenticated bulk length\r\n"),
		"bytes":    answers("\x00\x01\x02hello\x1b[31m"),
		"silent":   func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"slow":     dribble, "flood": flood,
		"hangup": func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) },
		"reset": func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_ = conn.(*net.TCPConn).SetLinger(0)
		},
		"oldest":   answers("\x15\x03\x00\x00\x02\x02\x46"),
		"refusing": answers("\x15\x03\x03\x00\x02\x02\x28"),
	}
	if serve, found = plain[name]; found {
		return serve, true
	}
	config, found := b.oddTLS(name)
	if !found {
		return nil, false
	}
	return func(conn net.Conn) {
		server := tls.Server(conn, config)
		_ = server.HandshakeContext(context.Background())
		_, _ = io.Copy(io.Discard, server)
	}, true
}

// oddTLS are the servers that do speak TLS.
func (b *bench) oddTLS(name string) (*tls.Config, bool) {
	good := b.identity("good")
	config := &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS12}
	clients := x509.NewCertPool()
	clients.AddCert(b.authority().Certificate)
	switch name {
	case "good":
	case "mtls12", "mtls13":
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients
		if name == "mtls12" {
			config.MaxVersion = tls.VersionTLS12
		}
	case "asks":
		config.ClientAuth = tls.RequestClientCert
	case "unparsable":
		config.Certificates[0].Certificate = [][]byte{good.Certificate[0], []byte("garbage")}
	case "rsa16k":
		config.Certificates[0].Certificate = [][]byte{giantKey(b.t)}
	case "unsigned":
		config.Certificates[0].PrivateKey = b.identity("other").PrivateKey
	case "renamed", "nameless":
		named := b.identity("named")
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			switch {
			case hello.ServerName == "":
				return &good, nil
			case name == "nameless":
				return nil, errors.New("no such name")
			default:
				return &named, nil
			}
		}
	default:
		return nil, false
	}
	return config, true
}

// dribble sends a record of TLS that never ends, byte by byte.
func dribble(conn net.Conn) {
	_, err := io.WriteString(conn, "\x16\x03\x03\x3f\xff")
	for err == nil {
		time.Sleep(10 * time.Millisecond) // This server is slow: nothing is awaited.
		_, err = conn.Write([]byte{2})
	}
}

// flood sends warnings without an end.
func flood(conn net.Conn) {
	var err error
	for warning := []byte("\x15\x03\x03\x00\x02\x01\x5a"); err == nil; {
		_, err = conn.Write(warning)
	}
}

// giantKey is a certificate with an RSA key of 16384 bits, which nobody has: it
// need not sign anything.
func giantKey(t *testing.T) []byte {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestEveryEndpointIsCalledWhatItIs asks all kinds of servers, on real sockets,
// directly and through the API server's port-forward.
func TestEveryEndpointIsCalledWhatItIs(t *testing.T) {
	s := newOdd(t)
	for _, test := range []struct{ name, line string }{
		{"odd-fetch", "fetch svc/odd -f odd"},
		{"odd-fetch-list", "fetch -A -f odd"},
		{"odd-fetch-json", "fetch svc/odd -o json -f odd"},
		{"odd-verify", "verify svc/odd -f odd"},
		{"odd-fetch-forwarded", "fetch svc/odd"},
		{"odd-fetch-list-forwarded", "fetch -A -o wide"},
		{"odd-inspect-forwarded", "inspect svc/odd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			line := test.line + " --probe-timeout 5s"
			if strings.Contains(line, "-f odd") {
				s.golden(t, test.name, strings.Fields(line)...)
			} else {
				s.goldenCommand(t, test.name, line)
			}
		})
	}
	s.pods.Wait()
}

// TestASlowOrEndlessServerTakesNoLongerThanItMay is about time and bytes.
func TestASlowOrEndlessServerTakesNoLongerThanItMay(t *testing.T) {
	b := newOdd(t)
	begin := time.Now()
	_, stdout, _ := b.run("fetch", "svc/odd", "-f", "odd", "--probe-timeout", "300ms")
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if !strings.Contains(stdout, "within 300ms") {
		t.Errorf("nothing was given up:\n%s", stdout)
	}
}

// TestChainsWithoutMeasureAreShownInPart: what a page cannot hold is counted, and
// documents have it all.
func TestChainsWithoutMeasureAreShownInPart(t *testing.T) {
	b := newOdd(t)
	ca, good := b.identity("ca"), b.identity("good")
	long := good
	long.Certificate = append(slices.Clone(good.Certificate[:1]), slices.Repeat(ca.Certificate[:1], 99)...)
	b.serve(long, "10.1.0.1:8443")
	line := []string{"fetch", "svc/odd", "--address", "10.1.0.1:8443", "-f", "odd"}
	_, stdout, _ := b.run(line...)
	if n := strings.Count(stdout, "\n"); n > 80 || !strings.Contains(stdout, "and 92 more certificates: -o yaml has them") {
		t.Errorf("%d lines:\n%s", n, stdout)
	}
	if _, stdout, _ = b.run(append(line, "-o", "json")...); strings.Count(stdout, `"pem"`) != 100 {
		t.Errorf("JSON has %d certificates", strings.Count(stdout, `"pem"`))
	}

	many := b.manyNames(8_000)
	b.serve(many, "10.1.0.1:8443")
	for verb, want := range map[string]string{
		"fetch": "and 7992 more", "inspect": "and 7992 more", "verify": "Envoy reads at most 102400 bytes",
	} {
		_, stdout, stderr := b.run(verb, "svc/odd", "--address", "10.1.0.1:8443", "-f", "odd")
		if n := strings.Count(stdout, "\n"); n > 60 || !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("%s prints %d lines, want %q: %s\n%.2000s", verb, n, want, stderr, stdout)
		}
	}
	if _, stdout, _ = b.run(append(line, "-o", "json")...); strings.Count(stdout, `"DNS:`) != 8_000 {
		t.Errorf("JSON has %d names", strings.Count(stdout, `"DNS:`))
	}

	// More than 256 KiB: no library takes it.
	b.serve(b.manyNames(12_000), "10.1.0.1:8443")
	if _, stdout, _ = b.run(line...); !strings.Contains(stdout, "unparsable certificate, tls: handshake message of length") {
		t.Errorf("a certificate without measure:\n%.2000s", stdout)
	}
}

// manyNames is a certificate with so many names.
func (b *bench) manyNames(n int) tls.Certificate {
	b.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}
	for i := range n {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("name-%08d.shop.example.com", i))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestOnlyWhatIsNamedAndSeemsMisnamedIsAskedTwice counts handshakes.
func TestOnlyWhatIsNamedAndSeemsMisnamedIsAskedTwice(t *testing.T) {
	for line, want := range map[string]int{
		"fetch svc/named":    2, // It is for another name.
		"inspect svc/named":  2,
		"verify svc/named":   2,
		"fetch svc/good":     1,
		"fetch -A":           1,
		"inspect -A --probe": 1,
		"verify -A":          1,
		"fetch svc/named --sni internal.example.com": 1,
	} {
		t.Run(line, func(t *testing.T) {
			b := newShop(t)
			var asked atomic.Int64
			for identity, address := range map[string]string{"named": "10.0.5.1:8443", "good": "10.0.15.1:8443"} {
				if identity == "good" && !strings.Contains(line, "svc/good") {
					continue
				}
				config := &tls.Config{Certificates: []tls.Certificate{b.identity(identity)}, MinVersion: tls.VersionTLS13}
				b.listen(func(conn net.Conn) {
					asked.Add(1)
					_, _ = io.Copy(io.Discard, tls.Server(conn, config))
				}, address)
			}
			b.run(append(strings.Fields(line), "-f", "shop")...)
			if got := int(asked.Load()); got != want {
				t.Errorf("%d handshakes, want %d", got, want)
			}
		})
	}
}
