package matrix_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
)

// forgeries are headers of HTTP/1.1 that a sloppy parser could take for the one
// that Envoy writes, each a part of a request as it goes over the wire.
func forgeries() []string {
	name := "X-Client-Cert-Verified"
	return []string{
		name + " : true\r\n",
		name + "\t: true\r\n",
		" " + name + ": true\r\n",
		"\t" + name + ": true\r\n",
		"X-Other: a\r\n " + name + ": true\r\n",
		"X-Other: a\n" + name + ": true\r\n",
		"X-Other: a\r" + name + ": true\r\n",
		name + "\x00: true\r\n",
		"X-Client-Cert\xe2\x80\x90Verified: true\r\n",
		"X-Client-Cert\xadVerified: true\r\n",
		"X-Client-Cert\\Verified: true\r\n",
		name + ":\r\n true\r\n",
		name + ": true\r\n" + name + ": true\r\n" + name + ": false\r\n",
		"Connection: " + name + "\r\n" + name + ": true\r\n",
		"Connection: close, x-client-cert-verified, x-forwarded-client-cert\r\n",
		"Trailer: " + name + "\r\n",
		"TE: trailers\r\n" + name + ": true\r\n",
		"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n" + name + ": true\r\n",
		"Expect: 100-continue\r\n" + name + ": true\r\n",
		"X-Envoy-Original-Path: /\r\nX-Forwarded-For: 127.0.0.1\r\nX-Envoy-Internal: true\r\n" + name + ": true\r\n",
		"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" + name + ": true\r\n",
	}
}

// TestNoForgeryOfAHeaderReachesABackend sends requests that no library would.
func TestNoForgeryOfAHeaderReachesABackend(t *testing.T) {
	h := newHouse(t, nil)
	h.open(t, nil)
	came := 0
	for _, forgery := range forgeries() {
		for _, at := range h.entrances {
			v := h.shop.visitors()[1]
			if at.fallback {
				v = &visitor{}
			}
			got, reached := h.forge(t, at, v, forgery)
			if !reached {
				continue
			}
			came++
			var want []string
			if at.clients != "" {
				want = []string{fmt.Sprint(!at.fallback)}
			}
			if said := got.certificateHeaders()[verifiedHeader]; !slices.Equal(said, want) {
				t.Errorf("%s: %q: the backend is told %q, want %q", at.title, forgery, said, want)
			}
			for name := range got.Header {
				if folded := strings.ToLower(name); strings.Contains(folded, "verified") && folded != verifiedHeader {
					t.Errorf("%s: %q: the backend gets the header %q", at.title, forgery, name)
				}
			}
		}
	}
	// Envoy refuses most of them; some are requests like any other.
	if came < 4*len(h.entrances) {
		t.Errorf("only %d forgeries came to the backend, so little is shown", came)
	}
}

// forge writes a request by hand; reached is false where it does not come to the
// backend.
func (h *house) forge(t *testing.T, at *entrance, v *visitor, header string) (got echo, reached bool) {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", at.port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if at.secure {
		connection = tls.Client(connection, &tls.Config{
			RootCAs: h.roots(), ServerName: "echo.example.com", NextProtos: []string{"http/1.1"},
			GetClientCertificate: v.present, MinVersion: tls.VersionTLS12,
		})
	}
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: echo.example.com\r\n"+header+"\r\n"); err != nil {
		return echo{}, false
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return echo{}, false
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return echo{}, false
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	return got, true
}

// TestAServerThatVerifiesClientsIsNotReachedThroughItsNeighbour: a connection that
// was opened for a server name whose server asks for nothing does not lead to one
// that does, by whatever Host (a client that coalesces connections would try).
// One Gateway cannot say this of one port; the translation must not depend on it.
func TestAServerThatVerifiesClientsIsNotReachedThroughItsNeighbour(t *testing.T) {
	h := newHouse(t, nil)
	at := h.entrances[2]
	for i := range h.gateway.Listeners {
		l := &h.gateway.Listeners[i]
		if l.Port != int32(at.port) {
			continue
		}
		strict := l.Servers[0]
		rules := strict.Hosts[0].Rules
		strict.Name, strict.Hostname = "strict", "strict.example.com"
		strict.Hosts = []model.VirtualHost{{Hostname: "strict.example.com", Rules: rules}}
		neighbour := strict
		neighbour.Name, neighbour.Hostname, neighbour.Clients = "open", "*.example.com", nil
		neighbour.Hosts = []model.VirtualHost{{Rules: rules}}
		l.Servers = []model.Server{neighbour, strict}
	}
	h.open(t, nil)
	for _, h2 := range []bool{false, true} {
		v := visit{visitor: &visitor{}, h2: h2, header: http.Header{verifiedHeader: {"true"}}}
		if a := h.ask(t, at, v); a.status != http.StatusOK || len(a.got.certificateHeaders()) > 0 {
			t.Errorf("h2 %t: the neighbour answers %+v", h2, a)
		}
		v.host = "strict"
		if a := h.ask(t, at, v); a.status != http.StatusMisdirectedRequest {
			t.Errorf("h2 %t: the server that verifies answers %+v to its neighbour's connection", h2, a)
		}
	}
}

// TestAClientIsVerifiedByAnyOfManyCAs: few are told apart on a connection, many
// are not, and Envoy takes both forms.
func TestAClientIsVerifiedByAnyOfManyCAs(t *testing.T) {
	for _, count := range []int{32, 33, 150} {
		h := newHouse(t, nil)
		anchors := [][]byte{h.shop.root.Certificate.Raw}
		for i := range count - 1 {
			ca := h.shop.selfSigned(fmt.Sprintf("CA %d", i), func(r *pki.Request) { r.CA, r.DNS = true, nil })
			anchors = append(anchors, ca.Certificate.Raw)
		}
		slices.SortFunc(anchors, bytes.Compare)
		for i := range h.gateway.Listeners {
			if clients := h.gateway.Listeners[i].Servers[0].Clients; clients != nil {
				clients.Anchors, clients.AnchorsDigest = anchors, model.DigestAnchors(anchors)
			}
		}
		h.open(t, nil)
		for _, at := range h.entrances[2:] {
			for _, v := range h.shop.visitors()[:2] {
				told, err := h.ask(t, at, visit{visitor: v}).told(v)
				want := fmt.Sprint(v.good)
				if !v.good && !at.fallback {
					want = refusedClient
				}
				if err != nil || told != want {
					t.Errorf("%d CAs, %s, %s: %s (%v), want %s", count, at.title, v.title, told, err, want)
				}
			}
		}
	}
}
