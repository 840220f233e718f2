package plugin

import (
	"net"
	"testing"
)

// newShop is the bench with the fixture that has a Service for every verdict,
// and the servers behind them.
func newShop(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "shop")
	b.serve(b.identity("api"), "10.0.1.1:8443", "10.0.1.2:8443", "10.0.2.1:8443", "10.0.3.1:8443",
		"10.0.6.1:8443", "10.0.8.1:8443", "10.0.9.1:8443", "10.0.10.1:9443", "10.0.11.1:8443", "10.0.12.2:8443")
	b.serve(b.identity("expired"), "10.0.4.1:8443")
	b.serve(b.identity("named"), "10.0.5.1:8443")
	b.serve(b.identity("good"), "10.0.10.1:8443", "10.0.12.1:8443", "10.0.15.1:8443")
	b.listen(func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	}, "10.0.14.1:8443", "10.0.7.1:8080")
	return b
}

func TestInspectOfOneServiceSaysWhyRequestsFail(t *testing.T) {
	for _, name := range []string{
		"api", "pinned", "drift", "expired", "named", "skip", "plain", "secure", "invalid", "multi",
		"mixed", "gone", "text", "empty", "good",
	} {
		t.Run(name, func(t *testing.T) {
			newShop(t).golden("inspect-"+name, "inspect", "svc/"+name, "-f", "shop", "-o", "table")
		})
	}
}
