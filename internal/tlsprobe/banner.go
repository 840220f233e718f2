package tlsprobe

import (
	"bytes"
	"net"

	"github.com/backendtls/backendtls/internal/model"
)

// maxFirst is how much of an endpoint's first words is kept, in bytes.
const maxFirst = 64

// recorder keeps the first bytes that a connection yields. They say more about
// an endpoint that speaks no TLS than the TLS error does.
type recorder struct {
	net.Conn
	first []byte
}

func (r *recorder) Read(buffer []byte) (int, error) {
	n, err := r.Conn.Read(buffer)
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

// greetings start the first words of servers that speak before the client does,
// or answer a TLS hello in a protocol that upgrades to TLS later.
var greetings = [][]byte{
	[]byte("220 "), []byte("220-"), []byte("421 "), []byte("554 "), // SMTP, FTP: RFC 5321, RFC 959
	[]byte("* OK"), []byte("* PREAUTH"), []byte("* BYE"), // IMAP: RFC 9051
	[]byte("+OK"),                  // POP3: RFC 1939
	[]byte("200 "), []byte("201 "), // NNTP: RFC 3977
	[]byte(`"IMPLEMENTATION"`),          // ManageSieve: RFC 5804
	[]byte("<?xml"), []byte("<stream:"), // XMPP: RFC 6120
}

// speaks tells a server that starts TLS after a greeting from one that speaks
// no TLS.
func speaks(first []byte) model.Fault {
	for _, greeting := range greetings {
		if bytes.HasPrefix(first, greeting) {
			return model.FaultStartTLS
		}
	}
	if greetsLikeMySQL(first) || failsLikePostgres(first) {
		return model.FaultStartTLS
	}
	return model.FaultPlaintext
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
