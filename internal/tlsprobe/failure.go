package tlsprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// maxQuoted is how much of an endpoint's first words is shown, in bytes.
const maxQuoted = 64

// classify notes what kept the handshake from finishing. first is what the
// endpoint sent first.
func classify(ctx context.Context, err error, first []byte, seen *model.Observation) {
	ended := ctx.Err()
	switch {
	case len(seen.Chain) > 0:
		seen.Fault, seen.Err = model.FaultHandshake, explain(err, seen)
	case len(first) > 0 && !startsRecord(first):
		seen.Fault, seen.Protocol = spoken(first)
		seen.Err = fmt.Sprintf("the endpoint said %q", first[:min(len(first), maxQuoted)])
	case ended != nil && len(first) == 0:
		seen.Fault, seen.Err = model.FaultTimeout, fmt.Sprintf("no answer to the TLS hello%s", until(ctx))
	case ended != nil:
		seen.Fault, seen.Err = model.FaultTimeout, fmt.Sprintf("the TLS handshake did not finish%s", until(ctx))
	case len(first) == 0:
		seen.Fault, seen.Err = model.FaultUnreachable, ending(err)
	case isUnparsable(err):
		seen.Fault, seen.Err = model.FaultUnparsable, err.Error()
	default:
		seen.Fault, seen.Err = model.FaultHandshake, explain(err, seen)
	}
}

// until says how long an endpoint was given.
func until(ctx context.Context) string {
	if limit, is := errors.AsType[*limitError](context.Cause(ctx)); is {
		return " within " + limit.limit.String()
	}
	return ": " + ctx.Err().Error()
}

// limitError is why the context of a probe ends.
type limitError struct{ limit time.Duration }

// Error says how long the probe was given.
func (e *limitError) Error() string { return "no answer within " + e.limit.String() }

// ending says how a connection ended on which nothing was said.
func ending(err error) string {
	switch {
	case isReset(err):
		return "the endpoint reset the connection on the TLS hello"
	case errors.Is(err, io.EOF):
		return "the endpoint closed the connection on the TLS hello without a word"
	default:
		return fmt.Sprintf("the endpoint ended the connection on the TLS hello: %v", err)
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// meanings say what an alert means for a client that trusts everything (RFC 8446
// section 6.2).
var meanings = map[uint8]string{
	40:  "it takes none of the cipher suites, curves and signature algorithms that were offered, or not this server name",
	70:  "it speaks none of TLS 1.0 to 1.3",
	71:  "what was offered is too weak for it",
	80:  "often it has no certificate for the server name that was sent",
	112: "it serves nothing under the server name that was sent",
	120: "it speaks neither h2 nor http/1.1 (ALPN)",
}

// explain says in words why a handshake failed that had begun.
func explain(err error, seen *model.Observation) string {
	seen.Alert = alertOf(err)
	switch {
	case isReset(err):
		return "the endpoint reset the connection during the handshake"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the endpoint closed the connection during the handshake"
	case seen.Alert == 0 || seen.ClientCertificate || meanings[seen.Alert] == "":
		return err.Error()
	default:
		return err.Error() + ": " + meanings[seen.Alert]
	}
}

// alertOf is the alert that the error says the other side sent, 0 for none. Its
// type is not exported, but its text is.
func alertOf(err error) uint8 {
	remote, is := errors.AsType[*net.OpError](err)
	if !is || remote.Op != "remote error" {
		return 0
	}
	for number := range 256 {
		if alert := tls.AlertError(number); alert.Error() == remote.Err.Error() {
			return uint8(alert)
		}
	}
	return 0
}

// isUnparsable recognises crypto/tls's refusals of a certificate that it could
// not read, or of more certificates than it takes, which have no type of their
// own.
func isUnparsable(err error) bool {
	for _, text := range [...]string{
		"tls: failed to parse certificate from server", "tls: server sent certificate containing RSA key larger",
		"tls: server's certificate contains an unsupported type of public key", "exceeds maximum of 262144 bytes",
	} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
