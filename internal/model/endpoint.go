package model

import (
	"net/netip"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Endpoint is one address of a Backend.
type Endpoint struct {
	Address netip.AddrPort
	// Pod is the pod behind it; the zero Key if the EndpointSlice names none.
	Pod gwapi.Key
	// Ready is the slice's condition; absent counts as true.
	Ready bool
}

// Observation is what one TLS handshake with an endpoint showed. It holds no
// verdict: verify.Verify judges.
type Observation struct {
	Endpoint Endpoint
	At       time.Time
	// SNI is the server name that was sent.
	SNI string
	// Chain is what the endpoint presented, DER, leaf first; empty if it
	// presented nothing. It may be set although Err is not empty.
	Chain [][]byte
	// TLSVersion is a crypto/tls version, 0 without a handshake.
	TLSVersion uint16
	// CipherSuite is a crypto/tls suite, 0 without a handshake.
	CipherSuite uint16
	// ALPN is the protocol that was negotiated, if any.
	ALPN string
	// ClientCertificate says that the endpoint asked for a client certificate.
	ClientCertificate bool
	// ClientAuthorities are the distinguished names of the CAs whose client
	// certificates it takes (RFC 8446 section 4.2.4), as many as are worth showing;
	// empty where it named none. They are words of the peer.
	ClientAuthorities []string
	// Connected says that a connection came about.
	Connected bool
	// Alert is the TLS alert by which the endpoint ended the handshake (RFC 8446
	// section 6.2), 0 for none.
	Alert uint8
	// Protocol is what the endpoint speaks instead of TLS, such as SMTP or HTTP, by
	// its first bytes; "" where they tell nothing.
	Protocol string
	// Fault says what kept the handshake from finishing; "" if nothing did.
	Fault Fault
	// Err is the error's text, for people. It may hold words of the peer.
	Err string
}

// Fault is what an endpoint turned out to be instead of a TLS server.
type Fault string

// The faults of an endpoint.
const (
	FaultUnreachable Fault = "Unreachable" // refused, no route, closed at once
	FaultTimeout     Fault = "Timeout"     // connected, then silence
	FaultPlaintext   Fault = "NotTLS"      // answered something that is not TLS
	FaultStartTLS    Fault = "StartTLS"    // greets in plaintext first: SMTP, IMAP, ...
	FaultHandshake   Fault = "Handshake"   // TLS, but the handshake failed
	FaultUnparsable  Fault = "Unparsable"  // presented a certificate nobody can parse
	// FaultUnsupported says nothing of the endpoint: it cannot be asked from here.
	FaultUnsupported Fault = "Unsupported"
	// FaultForbidden says nothing of the endpoint either: whoever asks may not.
	FaultForbidden Fault = "Forbidden"
)
