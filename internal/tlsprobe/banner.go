package tlsprobe

import (
	"bytes"
	"errors"
	"net"

	"github.com/backendtls/backendtls/internal/model"
)

const (
	// maxFirst is how much of an endpoint's first words is kept, in bytes.
	maxFirst = 128
	// maxTotal is how much of what an endpoint sends is read at all, in bytes: a
	// handshake of crypto/tls takes 256 KiB of certificates at most, whatever is
	// around them is small.
	maxTotal = 1 << 20
)

// errEndless is about an endpoint that sends more than a handshake has.
var errEndless = errors.New("the endpoint sends more than a TLS handshake has, 1 MiB")

// recorder keeps the first bytes that a connection yields, which say more about
// an endpoint that speaks no TLS than the TLS error does, and ends a connection
// that yields too many.
type recorder struct {
	net.Conn
	first []byte
	total int
}

func (r *recorder) Read(buffer []byte) (int, error) {
	if r.total > maxTotal {
		return 0, errEndless
	}
	n, err := r.Conn.Read(buffer)
	r.total += n
	if room := maxFirst - len(r.first); room > 0 {
		r.first = append(r.first, buffer[:min(n, room)]...)
	}
	return n, err
}

// startsRecord says whether bytes may start a TLS record: a content type from
// change_cipher_spec to application_data and major version 3 (RFC 8446 section
// 5.1).
func startsRecord(first []byte) bool {
	return first[0] >= 20 && first[0] <= 23 && (len(first) == 1 || first[1] == 3)
}

// greeting is how the first words of a server begin that speaks before the
// client does, or answers a TLS hello in its own protocol.
type greeting struct {
	start    string
	protocol string
	fault    model.Fault
}

// greetings are tried in order. Those of SMTP and FTP have the same codes: see
// mailOrFiles.
var greetings = [...]greeting{
	// What starts TLS only after words in plaintext.
	{"220 ", "", model.FaultStartTLS}, // RFC 5321, RFC 959
	{"220-", "", model.FaultStartTLS},
	{"421 ", "", model.FaultStartTLS},
	{"554 ", "SMTP", model.FaultStartTLS},
	{"* OK", "IMAP", model.FaultStartTLS}, // RFC 9051
	{"* PREAUTH", "IMAP", model.FaultStartTLS},
	{"* BYE", "IMAP", model.FaultStartTLS},
	{"+OK", "POP3", model.FaultStartTLS}, // RFC 1939, RFC 2449
	{"-ERR [", "POP3", model.FaultStartTLS},
	{"200 ", "NNTP", model.FaultStartTLS}, // RFC 3977
	{"201 ", "NNTP", model.FaultStartTLS},
	{`"IMPLEMENTATION"`, "ManageSieve", model.FaultStartTLS}, // RFC 5804
	{"<?xml", "XMPP", model.FaultStartTLS},                   // RFC 6120
	{"<stream:", "XMPP", model.FaultStartTLS},
	{"INFO {", "NATS", model.FaultStartTLS}, // docs.nats.io, client protocol: INFO
	// What speaks TLS from the first byte on, or not at all.
	{"HTTP/", "HTTP", model.FaultPlaintext},
	{"<html", "HTTP", model.FaultPlaintext}, // HTTP/0.9
	{"<!DOCTYPE", "HTTP", model.FaultPlaintext},
	{"SSH-", "SSH", model.FaultPlaintext},    // RFC 4253
	{"-ERR ", "Redis", model.FaultPlaintext}, // redis.io, serialization protocol
	{"-DENIED ", "Redis", model.FaultPlaintext},
	{"AMQP", "AMQP", model.FaultPlaintext}, // AMQP 0-9-1 section 4.2.2
	{"RFB ", "VNC", model.FaultPlaintext},  // RFC 6143
	{"ERROR\r\n", "memcached", model.FaultPlaintext},
}

// spoken tells a server that starts TLS after a greeting from one that speaks
// no TLS, and names the protocol, "" where the first bytes do not tell.
func spoken(first []byte) (model.Fault, string) {
	for _, known := range greetings {
		if !bytes.HasPrefix(first, []byte(known.start)) {
			continue
		}
		if known.protocol == "" {
			return known.fault, mailOrFiles(first)
		}
		return known.fault, known.protocol
	}
	switch {
	case greetsLikeMySQL(first):
		return model.FaultStartTLS, "MySQL"
	case failsLikePostgres(first):
		return model.FaultStartTLS, "PostgreSQL"
	case endsLikeLDAP(first):
		return model.FaultStartTLS, "LDAP"
	case settlesLikeHTTP2(first):
		return model.FaultPlaintext, "HTTP/2"
	default:
		return model.FaultPlaintext, ""
	}
}

// mailOrFiles tells SMTP and FTP apart, whose greetings have the same codes: both
// usually name their protocol or their program.
func mailOrFiles(first []byte) string {
	upper := bytes.ToUpper(first)
	switch {
	case bytes.Contains(upper, []byte("SMTP")), bytes.Contains(upper, []byte("POSTFIX")):
		return "SMTP"
	case bytes.Contains(upper, []byte("FTP")):
		return "FTP"
	default:
		return "SMTP or FTP"
	}
}

// greetsLikeMySQL recognises packet 0 of protocol version 10, or an error packet
// in its place: three bytes of length, the sequence number, the first byte.
func greetsLikeMySQL(first []byte) bool {
	return len(first) >= 5 && first[2] == 0 && first[3] == 0 && (first[4] == 10 || first[4] == 0xff)
}

// failsLikePostgres recognises an ErrorResponse: E, four bytes of length that
// include themselves, and the severity field.
func failsLikePostgres(first []byte) bool {
	return len(first) >= 6 && first[0] == 'E' && first[1] == 0 && first[2] == 0 && first[5] == 'S'
}

// endsLikeLDAP recognises a notice of disconnection: an LDAPMessage with the
// message number 0 and an ExtendedResponse (RFC 4511 section 4.4.1).
func endsLikeLDAP(first []byte) bool {
	return len(first) >= 6 && first[0] == 0x30 && bytes.Contains(first[1:min(len(first), 10)], []byte{2, 1, 0, 0x78})
}

// settlesLikeHTTP2 recognises a SETTINGS frame of stream 0: three bytes of
// length, the type, flags, the stream (RFC 9113 section 4.1).
func settlesLikeHTTP2(first []byte) bool {
	return len(first) >= 9 && first[0] == 0 && first[3] == 4 && bytes.Equal(first[5:9], make([]byte, 4))
}
