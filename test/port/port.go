package port

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that are given out, in [lowest, highest): above what usual services
// listen on, below what Kubernetes (30000) and Linux (32768) choose from.
const (
	lowest  = 12_000
	highest = 30_000
	// attempts is how many ports are tried before the test fails.
	attempts = 1000
)

// Free is a TCP port that nobody listens on, on any address, and that no other
// test of this machine is given before this one ends.
func Free(tb testing.TB) uint16 {
	tb.Helper()
	for range attempts {
		// So that tests of several processes seldom try the same ones.
		number := lowest + rand.N(highest-lowest)
		if claim(tb, number) {
			return uint16(number)
		}
	}
	tb.Fatalf("none of %d ports between %d and %d is free", attempts, lowest, highest)
	return 0
}

// claim says whether nobody has the port, and sees to it that no other test gets
// it: UDP ports are not TCP's, and no two sockets have the same one. Nothing is
// ever sent to it.
func claim(tb testing.TB, number int) bool {
	tb.Helper()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(number))
	claimed, err := new(net.ListenConfig).ListenPacket(tb.Context(), "udp4", address)
	if err != nil {
		return false
	}
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", ":"+strconv.Itoa(number))
	if err != nil {
		_ = claimed.Close()
		return false
	}
	_ = listener.Close()
	tb.Cleanup(func() { _ = claimed.Close() })
	return true
}
