package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/backendtls/backendtls/test/pki"
)

// session is a connection of a client over which it says something now and then.
type session struct {
	connection *tls.Conn
	lines      *bufio.Reader
}

func (w *world) session(name string, roots *x509.CertPool) (*session, error) {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots,
	}}
	connection, err := dialer.DialContext(w.t.Context(), "tcp", w.gateway.String())
	if err != nil {
		return nil, err
	}
	secure, ok := connection.(*tls.Conn)
	if !ok {
		return nil, errors.New("not a TLS connection")
	}
	w.t.Cleanup(func() { _ = secure.Close() })
	return &session{connection: secure, lines: bufio.NewReader(secure)}, nil
}

// answers says whether the backend says a line back.
func (s *session) answers() bool {
	_ = s.connection.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(s.connection, "still there\n"); err != nil {
		return false
	}
	line, err := s.lines.ReadString('\n')
	return err == nil && line == "still there\n"
}

// ended waits for the end of a session in which nothing is said.
func (s *session) ended(within time.Duration) bool {
	_ = s.connection.SetDeadline(time.Now().Add(within))
	_, err := s.lines.ReadByte()
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// sessionBound is the documented end of a session whose trust is gone (docs/policy.md,
// standalone), and some time for a busy machine.
const sessionBound = 5*time.Second + 8*time.Second

func TestASessionEndsAfterItsTrustIsGoneAndNoOther(t *testing.T) {
	f := newFixtures(t)
	front := f.leaf(f.ca, "front", func(r *pki.Request) { r.DNS = []string{"*.ends.test"} })
	behind := f.leaf(f.ca, "behind", func(r *pki.Request) { r.DNS = []string{f.host, "*.through.test"} })
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.Certificate)
	w := newWorld(t)
	w.streamGateway(front)
	w.write("services.yaml", f.bundles+streamService("api", newParrot(t, behind).address, "https")+
		streamService("neighbor", newParrot(t, behind).address, "https")+policy("neighbor", f.trusted, nil))
	w.write("policy.yaml", policy("api", f.trusted, options("pins", f.key(behind))))
	w.start()
	sessions := map[string]*session{}
	for _, name := range []string{"api.ends.test", "neighbor.ends.test", "api.through.test"} {
		w.eventually("a session with "+name, func() bool {
			opened, err := w.session(name, roots)
			sessions[name] = opened
			return err == nil && opened.answers()
		})
	}
	w.write("policy.yaml", policy("api", f.trusted, options("pins", f.key(f.self))))
	if !sessions["api.ends.test"].ended(sessionBound) {
		t.Errorf("the session goes on %s after its pin was replaced", sessionBound)
	}
	if again, err := w.session("api.ends.test", roots); err == nil && again.answers() {
		t.Error("a new session is answered over the old trust")
	}
	for _, name := range []string{"neighbor.ends.test", "api.through.test"} {
		if !sessions[name].answers() {
			t.Errorf("%s: the session ended although nothing changed for it", name)
		}
	}
}
