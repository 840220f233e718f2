package tlsprobe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/tlsprobe"
	"github.com/backendtls/backendtls/test/leak"
	"github.com/backendtls/backendtls/test/pki"
)

func TestMain(m *testing.M) { leak.Main(m) }

var at = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func prober(timeout time.Duration) tlsprobe.Prober {
	return tlsprobe.Prober{Now: func() time.Time { return at }, Timeout: timeout}
}

func identity(t *testing.T, name string, edits ...func(*pki.Request)) *pki.Identity {
	t.Helper()
	request := pki.Request{
		Name: name, DNS: []string{name}, NotBefore: at.AddDate(0, 0, -1),
		NotAfter: at.AddDate(0, 0, 1),
	}
	for _, edit := range edits {
		edit(&request)
	}
	made, err := pki.SelfSigned(request)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// listen serves each connection on loopback with handle until the test ends.
func listen(t *testing.T, handle func(net.Conn)) model.Endpoint {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		open.Wait()
	})
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return model.Endpoint{Address: address, Ready: true}
}

// drain reads until the peer goes away.
func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// serveTLS does handshakes, and reports each connection's first read error.
func serveTLS(t *testing.T, config *tls.Config) (model.Endpoint, <-chan error) {
	t.Helper()
	ends := make(chan error, 16)
	return listen(t, func(conn net.Conn) {
		server := tls.Server(conn, config)
		n, err := server.Read(make([]byte, 1))
		if n > 0 {
			err = errors.New("the probe sent application data")
		}
		ends <- err
	}), ends
}

func configOf(identities ...*pki.Identity) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"h2", "http/1.1"}}
	for _, i := range identities {
		config.Certificates = append(config.Certificates, i.TLS())
	}
	return config
}

func TestAHandshakeShowsTheChainAndWhatWasNegotiated(t *testing.T) {
	root := identity(t, "root", func(r *pki.Request) { r.CA = true })
	middle, err := root.Issue(pki.Request{Name: "middle", CA: true, NotBefore: at, NotAfter: at.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := middle.Issue(pki.Request{Name: "leaf", NotBefore: at, NotAfter: at.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, ends := serveTLS(t, configOf(leaf))
	seen := prober(5*time.Second).Probe(t.Context(), endpoint, "api.example.com")
	if !slices.EqualFunc(seen.Chain, leaf.DER(), slices.Equal) {
		t.Errorf("presented %d certificates, want those of the server", len(seen.Chain))
	}
	if seen.Fault != "" || seen.Err != "" {
		t.Errorf("fault %q: %s", seen.Fault, seen.Err)
	}
	if seen.TLSVersion != tls.VersionTLS13 || seen.CipherSuite == 0 || seen.ALPN != "h2" || seen.ClientCertificate {
		t.Errorf("negotiated %+v", seen)
	}
	if !seen.At.Equal(at) || seen.Endpoint != endpoint || seen.SNI != "api.example.com" {
		t.Errorf("not the question that was asked: %+v", seen)
	}
	if err := <-ends; !errors.Is(err, io.EOF) {
		t.Errorf("the server's connection ended with %v, want an orderly close", err)
	}
}

func TestEveryVersionIsRead(t *testing.T) {
	ecdsa, rsa := identity(t, "a"), identity(t, "a", func(r *pki.Request) {
		r.KeyType, r.KeyUsage = pki.RSA2048, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment
	})
	for name, c := range map[string]struct {
		identity *pki.Identity
		version  uint16
		suite    uint16
	}{
		"TLS 1.0":                       {ecdsa, tls.VersionTLS10, 0},
		"TLS 1.1":                       {ecdsa, tls.VersionTLS11, 0},
		"TLS 1.2":                       {ecdsa, tls.VersionTLS12, 0},
		"TLS 1.3":                       {ecdsa, tls.VersionTLS13, 0},
		"TLS 1.2 with RSA key exchange": {rsa, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		"TLS 1.0 with 3DES":             {rsa, tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(c.identity)
			config.MinVersion, config.MaxVersion = c.version, c.version
			if c.suite != 0 {
				config.CipherSuites = []uint16{c.suite}
			}
			endpoint, _ := serveTLS(t, config)
			seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a")
			if seen.Fault != "" || seen.TLSVersion != c.version || len(seen.Chain) != 1 {
				t.Errorf("seen %+v", seen)
			}
			if c.suite != 0 && seen.CipherSuite != c.suite {
				t.Errorf("suite %04x, want %04x", seen.CipherSuite, c.suite)
			}
		})
	}
}

func TestTheServerNameChoosesTheCertificate(t *testing.T) {
	first, a, b := identity(t, "default"), identity(t, "a.example.com"), identity(t, "b.example.com")
	endpoint, _ := serveTLS(t, configOf(first, a, b))
	for sni, want := range map[string]*pki.Identity{
		"a.example.com": a, "b.example.com": b, "": first,
		"127.0.0.1": first,
	} {
		seen := prober(5*time.Second).Probe(t.Context(), endpoint, sni)
		if len(seen.Chain) != 1 || !slices.Equal(seen.Chain[0], want.Certificate.Raw) {
			t.Errorf("server name %q: another certificate than %s", sni, want.Certificate.Subject)
		}
	}
}

func TestAClientCertificateIsNotedAndItsRefusalToo(t *testing.T) {
	for name, c := range map[string]struct {
		version uint16
		auth    tls.ClientAuthType
		refused bool
	}{
		"required over TLS 1.2": {tls.VersionTLS12, tls.RequireAnyClientCert, true},
		"required over TLS 1.3": {tls.VersionTLS13, tls.RequireAnyClientCert, true},
		"optional over TLS 1.2": {tls.VersionTLS12, tls.RequestClientCert, false},
		"optional over TLS 1.3": {tls.VersionTLS13, tls.RequestClientCert, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(identity(t, "a"))
			config.MaxVersion, config.MinVersion, config.ClientAuth = c.version, c.version, c.auth
			endpoint, _ := serveTLS(t, config)
			seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a")
			if !seen.ClientCertificate || len(seen.Chain) != 1 || seen.TLSVersion != c.version {
				t.Errorf("seen %+v", seen)
			}
			if refused := seen.Fault == model.FaultHandshake; refused != c.refused {
				t.Errorf("refused %v: %q %s", refused, seen.Fault, seen.Err)
			}
			if strings.Contains(seen.Err, "closed network") {
				t.Errorf("the error is our own: %s", seen.Err)
			}
		})
	}
}

func TestWhatIsNoTLSServerIsTold(t *testing.T) {
	says := func(words string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, words)
			drain(conn)
		}
	}
	answers := func(words string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = io.WriteString(conn, words)
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  model.Fault
		// protocol is what the first bytes tell.
		protocol, says string
	}{
		"HTTP":                   {answers("HTTP/1.1 400 Bad Request\r\n\r\n"), model.FaultPlaintext, "HTTP", `"HTTP/1.1 400`},
		"HTTP, without a header": {answers("<html><head><title>400"), model.FaultPlaintext, "HTTP", "<html>"},
		"HTTP/2":                 {says("\x00\x00\x12\x04\x00\x00\x00\x00\x00"), model.FaultPlaintext, "HTTP/2", `\x12\x04`},
		"SSH":                    {says("SSH-2.0-OpenSSH_9.6\r\n"), model.FaultPlaintext, "SSH", "SSH-2.0"},
		"Redis":                  {answers("-ERR unknown command\r\n"), model.FaultPlaintext, "Redis", "-ERR"},
		"AMQP":                   {answers("AMQP\x00\x00\x09\x01"), model.FaultPlaintext, "AMQP", "AMQP"},
		"SMTP":                   {says("220 mail.example.com ESMTP\r\n"), model.FaultStartTLS, "SMTP", "220 mail"},
		"SMTP, several lines":    {says("220-mail.example.com\r\n"), model.FaultStartTLS, "SMTP or FTP", "220-mail"},
		"SMTP, refusing":         {says("554 no\r\n"), model.FaultStartTLS, "SMTP", "554 no"},
		"FTP":                    {says("220 (vsFTPd 3.0.5)\r\n"), model.FaultStartTLS, "FTP", "vsFTPd"},
		"IMAP":                   {says("* OK [CAPABILITY IMAP4rev1]\r\n"), model.FaultStartTLS, "IMAP", "* OK"},
		"POP3":                   {says("+OK ready\r\n"), model.FaultStartTLS, "POP3", "+OK"},
		"POP3, refusing":         {says("-ERR [SYS/TEMP] later\r\n"), model.FaultStartTLS, "POP3", "-ERR"},
		"NNTP":                   {says("200 news.example.com ready\r\n"), model.FaultStartTLS, "NNTP", "200 news"},
		"ManageSieve":            {says("\"IMPLEMENTATION\" \"Dovecot\"\r\n"), model.FaultStartTLS, "ManageSieve", "Dovecot"},
		"XMPP":                   {answers("<?xml version='1.0'?><stream:stream"), model.FaultStartTLS, "XMPP", "<?xml"},
		"NATS":                   {says("INFO {\"server_id\":\"N\"}\r\n"), model.FaultStartTLS, "NATS", "INFO"},
		"LDAP": {
			answers("\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x02"), model.FaultStartTLS, "LDAP", `0$`,
		},
		"MySQL":                  {says("J\x00\x00\x00\n8.4.0\x00"), model.FaultStartTLS, "MySQL", "8.4.0"},
		"MySQL, of TLS's number": {says("\x16\x00\x00\x00\n8.4.0\x00aaaaaaaaaaaaaaa"), model.FaultStartTLS, "MySQL", "8.4.0"},
		"MySQL, refusing":        {says("E\x00\x00\x00\xffj\x04Host"), model.FaultStartTLS, "MySQL", "Host"},
		"PostgreSQL":             {answers("E\x00\x00\x00\x60SFATAL\x00"), model.FaultStartTLS, "PostgreSQL", "FATAL"},
		"one byte":               {answers("x"), model.FaultPlaintext, "", `"x"`},
		"closing":                {func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }, model.FaultUnreachable, "", "without a word"},
		"resetting":              {reset, model.FaultUnreachable, "", "reset the connection"},
		"a broken record":        {answers("\x16\x03\x03\x00\x04abcd"), model.FaultHandshake, "", ""},
		"ending in the middle":   {answers("\x16\x03\x03\x00\x04\x02\x00"), model.FaultHandshake, "", "connection during the handshake"},
		"an endless handshake":   {forever("\x16\x03\x03\x00\x04\x00\x00\x00\x00"), model.FaultHandshake, "", ""},
		"endless warnings":       {forever("\x15\x03\x03\x00\x02\x01\x5a"), model.FaultHandshake, "", "too many ignored records"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := prober(5*time.Second).Probe(t.Context(), listen(t, c.serve), "a")
			if seen.Fault != c.want || seen.Protocol != c.protocol || !strings.Contains(seen.Err, c.says) {
				t.Errorf("%q %q: %s, want %q %q with %q", seen.Fault, seen.Protocol, seen.Err, c.want, c.protocol, c.says)
			}
			if !seen.Connected {
				t.Error("no connection came about")
			}
			if len(seen.Chain) != 0 || seen.TLSVersion != 0 || strings.ContainsAny(seen.Err, "\r\n\x00") {
				t.Errorf("seen %+v", seen)
			}
		})
	}
}

// reset ends a connection without saying goodbye.
func reset(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 4096))
	_ = conn.(*net.TCPConn).SetLinger(0)
}

// forever repeats words until nobody listens.
func forever(words string) func(net.Conn) {
	return func(conn net.Conn) {
		var err error
		for err == nil {
			_, err = io.WriteString(conn, words)
		}
	}
}

func TestAnAlertIsNotedAndExplained(t *testing.T) {
	for alert, want := range map[byte]string{
		40: "handshake failure: it takes none of", 70: "it speaks none of TLS 1.0 to 1.3", 80: "no certificate for the server name",
		112: "it serves nothing under the server name", 120: "neither h2 nor http/1.1", 49: "access denied",
	} {
		seen := prober(5*time.Second).Probe(t.Context(), listen(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte{0x15, 3, 3, 0, 2, 2, alert})
		}), "a")
		if seen.Fault != model.FaultHandshake || seen.Alert != alert || !strings.Contains(seen.Err, want) {
			t.Errorf("alert %d: %q %d: %s, want %q", alert, seen.Fault, seen.Alert, seen.Err, want)
		}
	}
}

func TestTheAuthoritiesOfClientsAreNoted(t *testing.T) {
	config := configOf(identity(t, "a"))
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	for i := range 40 {
		config.ClientCAs.AddCert(identity(t, fmt.Sprintf("CA %d", i), func(r *pki.Request) { r.CA = true }).Certificate)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MinVersion, config.MaxVersion = version, version
		endpoint, _ := serveTLS(t, config)
		seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a")
		if len(seen.ClientAuthorities) != 16 || seen.ClientAuthorities[0] != "CN=CA 0" {
			t.Errorf("version %04x: %q", version, seen.ClientAuthorities)
		}
	}
}

func TestMoreCertificatesThanAreTakenAreTold(t *testing.T) {
	one := identity(t, "a")
	pair := one.TLS()
	pair.Certificate = slices.Repeat(pair.Certificate, 100)
	endpoint, _ := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a"); seen.Fault != "" || len(seen.Chain) != 100 {
		t.Errorf("a hundred: %q %s, %d certificates", seen.Fault, seen.Err, len(seen.Chain))
	}
	pair.Certificate = slices.Repeat(pair.Certificate, 10)
	endpoint, _ = serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a"); seen.Fault != model.FaultUnparsable {
		t.Errorf("a thousand: %q %s", seen.Fault, seen.Err)
	}
}

func TestSilenceEndsWithTheTimeout(t *testing.T) {
	hello := "\x16\x03\x03\x00\x7a" // A record that never ends.
	for name, words := range map[string]string{"nothing": "", "half a record": hello} {
		endpoint := listen(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, words)
			drain(conn)
		})
		start := time.Now()
		seen := prober(time.Second).Probe(t.Context(), endpoint, "a")
		if seen.Fault != model.FaultTimeout || !strings.Contains(seen.Err, "within 1s") {
			t.Errorf("%s: %q %s", name, seen.Fault, seen.Err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

func TestTheContextEndsAProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	endpoint := listen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1)) // The hello has arrived.
		cancel()
		drain(conn)
	})
	if seen := prober(0).Probe(ctx, endpoint, "a"); seen.Fault != model.FaultTimeout {
		t.Errorf("%q %s", seen.Fault, seen.Err)
	}
}

func TestAClosedPortIsUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	seen := prober(5*time.Second).Probe(t.Context(), model.Endpoint{Address: address}, "a")
	if seen.Fault != model.FaultUnreachable || !strings.Contains(seen.Err, "refused") {
		t.Errorf("%q %s", seen.Fault, seen.Err)
	}
}

func TestTheDialerIsTheCallers(t *testing.T) {
	endpoint := model.Endpoint{Address: netip.MustParseAddrPort("[2001:db8::1]:8443")}
	asked := ""
	p := prober(time.Second)
	p.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
		asked = network + " " + address
		return nil, errors.New("pod is gone")
	}
	seen := p.Probe(t.Context(), endpoint, "a")
	if seen.Fault != model.FaultUnreachable || seen.Err != "pod is gone" || asked != "tcp [2001:db8::1]:8443" {
		t.Errorf("asked %q: %q %s", asked, seen.Fault, seen.Err)
	}
}

// deaf is a connection without deadlines, as tunnels have it: only closing it
// ends a wait.
type deaf struct{ net.Conn }

func (deaf) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (deaf) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (deaf) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

func TestAConnectionWithoutDeadlinesIsBoundedToo(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	p := prober(100 * time.Millisecond)
	p.Dial = func(context.Context, string, string) (net.Conn, error) { return deaf{ours}, nil }
	if seen := p.Probe(t.Context(), model.Endpoint{}, "a"); seen.Fault != model.FaultTimeout {
		t.Errorf("%q %s", seen.Fault, seen.Err)
	}
}

func TestAServerThatStopsReadingIsBoundedToo(t *testing.T) {
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- tls.Server(theirs, configOf(identity(t, "a"))).Handshake() }()
	p := prober(time.Second)
	p.Dial = func(context.Context, string, string) (net.Conn, error) { return deaf{ours}, nil }
	// Nobody reads the close_notify, and the pipe holds nothing.
	if seen := p.Probe(t.Context(), model.Endpoint{}, "a"); seen.Fault != "" || len(seen.Chain) != 1 {
		t.Errorf("%q %s", seen.Fault, seen.Err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := theirs.Close(); err != nil {
		t.Error(err)
	}
}

// tee keeps what a connection yields.
type tee struct {
	net.Conn
	got []byte
}

func (c *tee) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	c.got = append(c.got, buffer[:n]...)
	return n, err
}

func TestTheEndIsAnnouncedAndNothingElseSent(t *testing.T) {
	config := configOf(identity(t, "a"))
	sent := make(chan []byte, 1)
	endpoint := listen(t, func(conn net.Conn) {
		kept := &tee{Conn: conn}
		_, _ = io.Copy(io.Discard, tls.Server(kept, config))
		sent <- kept.got
	})
	prober(5*time.Second).Probe(t.Context(), endpoint, "a")
	encrypted := 0
	for rest := <-sent; len(rest) >= 5; {
		if rest[0] == 23 { // application_data, which is every encrypted record of TLS 1.3
			encrypted++
		}
		rest = rest[min(len(rest), 5+int(rest[3])<<8+int(rest[4])):]
	}
	if encrypted != 2 {
		t.Errorf("the probe sent %d encrypted records, want Finished and close_notify", encrypted)
	}
}

func TestACertificateThatNobodyCanParseIsTold(t *testing.T) {
	good := identity(t, "a")
	pair := good.TLS()
	pair.Certificate = [][]byte{good.Certificate.Raw, []byte("garbage")}
	endpoint, _ := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a")
	if seen.Fault != model.FaultUnparsable {
		t.Errorf("%q %s", seen.Fault, seen.Err)
	}
}

func TestTheChainOutlivesAHandshakeThatFailsLater(t *testing.T) {
	honest, other := identity(t, "a"), identity(t, "b")
	pair := honest.TLS()
	pair.PrivateKey = other.Key // Signs with a key that is not the certificate's.
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		endpoint, _ := serveTLS(t, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: version, MaxVersion: version,
		})
		seen := prober(5*time.Second).Probe(t.Context(), endpoint, "a")
		if seen.Fault != model.FaultHandshake || len(seen.Chain) != 1 || seen.Err == "" {
			t.Errorf("version %04x: %+v", version, seen)
		}
	}
}

func TestProbesRunConcurrently(t *testing.T) {
	endpoint, _ := serveTLS(t, configOf(identity(t, "a")))
	var probes sync.WaitGroup
	p := prober(10 * time.Second)
	for range 16 {
		probes.Go(func() {
			if seen := p.Probe(t.Context(), endpoint, "a"); seen.Fault != "" {
				t.Errorf("%q %s", seen.Fault, seen.Err)
			}
		})
	}
	probes.Wait()
}

// FuzzProbe answers the hello with anything: no panic, and what is no handshake
// always has a fault that can be shown.
func FuzzProbe(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 400", "220 ", "J\x00\x00\x00\n",
		"\x15\x03\x03\x00\x02\x02\x28", "\x16",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, words []byte) {
		ours, theirs := net.Pipe()
		var server sync.WaitGroup
		server.Go(func() {
			_, _ = theirs.Read(make([]byte, 4096))
			_, _ = theirs.Write(words)
			_ = theirs.Close()
		})
		p := prober(5 * time.Second)
		p.Dial = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		seen := p.Probe(t.Context(), model.Endpoint{}, "a")
		server.Wait()
		if seen.Fault == "" || seen.Err == "" || strings.ContainsAny(seen.Err, "\r\n\x00\x1b") {
			t.Errorf("%q: %q %q", words, seen.Fault, seen.Err)
		}
	})
}
