package tlsprobe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"net"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// verdictWait is how long a server that asked for a client certificate over TLS
// 1.3 gets to refuse the connection: there the client's handshake ends before
// the server has judged the empty certificate (RFC 8446 section 4.4.2.4).
const verdictWait = 300 * time.Millisecond

// Prober makes handshakes. It holds no state and may be used concurrently.
type Prober struct {
	// Dial opens the connection; nil is a plain net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now stamps observations and must be set.
	Now func() time.Time
	// Timeout bounds a whole probe, dialing included; 0 leaves it to the context.
	Timeout time.Duration
}

// Probe makes exactly one handshake with the endpoint, sending sni as the server
// name unless it is empty or an IP address, and closes the connection. It always
// returns an observation: one without Fault if the handshake finished and the
// server did not refuse it at once; the chain also where it failed later.
func (p Prober) Probe(ctx context.Context, endpoint model.Endpoint, sni string) model.Observation {
	seen := model.Observation{Endpoint: endpoint, At: p.Now(), SNI: sni}
	if p.Timeout > 0 {
		bounded, cancel := context.WithTimeoutCause(ctx, p.Timeout, &limitError{p.Timeout})
		defer cancel()
		ctx = bounded
	}
	conn, err := p.dial(ctx, endpoint.Address.String())
	if err != nil {
		seen.Fault, seen.Err = model.FaultUnreachable, err.Error()
		return seen
	}
	defer conn.Close()
	seen.Connected = true
	// A tunnel's connection may know no deadlines: closing it is what ends
	// every wait.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	recorded := &recorder{Conn: conn}
	client := tls.Client(recorded, readingConfig(sni, &seen))
	err = client.HandshakeContext(ctx)
	if err == nil || len(seen.Chain) > 0 {
		state := client.ConnectionState()
		seen.TLSVersion, seen.CipherSuite, seen.ALPN = state.Version, state.CipherSuite, state.NegotiatedProtocol
	}
	if err == nil {
		err = refusal(ctx, client, seen)
	}
	if err == nil {
		_ = client.Close() // Says close_notify, so that the server logs no abort.
		return seen
	}
	classify(ctx, err, recorded.first, &seen)
	return seen
}

func (p Prober) dial(ctx context.Context, address string) (net.Conn, error) {
	if p.Dial != nil {
		return p.Dial(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// readingConfig accepts every server, because an untrusted certificate is the
// very thing to look at; it is the one place that does. Nothing is sent over the
// connection, so there is nothing that verification would protect. Versions and
// suites that Envoy does not speak are offered too, to see what is served there.
func readingConfig(sni string, seen *model.Observation) *tls.Config {
	var suites []uint16
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		suites = append(suites, suite.ID)
	}
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // see above
		ServerName:         sni,
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       suites,
		NextProtos:         []string{"h2", "http/1.1"},
		// A resumed session would not show the chain.
		SessionTicketsDisabled: true,
		// Called although nothing is verified, and before the server could refuse
		// the client: the chain survives a handshake that fails later.
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			seen.Chain = chain
			return nil
		},
		GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.ClientCertificate, seen.ClientAuthorities = true, authorities(request.AcceptableCAs)
			return &tls.Certificate{}, nil
		},
	}
}

// refusal waits for a server that asked for a client certificate over TLS 1.3 to
// refuse the connection without one, and returns its alert. Silence, data and an
// orderly end are no refusal.
func refusal(ctx context.Context, client *tls.Conn, seen model.Observation) error {
	if !seen.ClientCertificate || seen.TLSVersion < tls.VersionTLS13 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, verdictWait)
	defer cancel()
	stop := context.AfterFunc(waiting, func() { _ = client.NetConn().Close() })
	defer stop()
	_, err := io.ReadFull(client, make([]byte, 1))
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		return err
	}
	return nil
}

// maxAuthorities is how many of the CAs that an endpoint asks for are kept, and
// maxAuthority how much of the name of each, in bytes.
const (
	maxAuthorities = 16
	maxAuthority   = 256
)

// authorities are the names of the CAs that an endpoint takes client
// certificates of, as DER; what cannot be parsed is left out.
func authorities(acceptable [][]byte) []string {
	var names []string
	for _, der := range acceptable {
		var sequence pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
			continue
		}
		name := sequence.String()
		if names = append(names, name[:min(len(name), maxAuthority)]); len(names) == maxAuthorities {
			break
		}
	}
	return names
}
