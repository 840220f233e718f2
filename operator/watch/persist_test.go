package watch_test

import (
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

// TestAfterAnOutageChangesAreSeenAtOnce lasts longer than reflectors would wait
// before they ask again.
func TestAfterAnOutageChangesAreSeenAtOnce(t *testing.T) {
	server := apitest.New(t)
	server.Put(gateway("a"))
	w := opened(t, server)
	server.SetAway(true)
	eventually(t, "it is said", func() bool { return len(w.log.lines("the API server is away")) > 0 })
	select {
	case <-t.Context().Done():
	case <-time.After(12 * time.Second):
	}
	server.Put(gateway("b"))
	server.SetAway(false)
	back := time.Now()
	w.until("it is as the server says", func(snap *snapshot.Snapshot) bool { return snap.Gateways.Len() == 2 })
	if took := time.Since(back); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	eventually(t, "it is said", func() bool { return len(w.log.lines("the API server answers again")) > 0 })
	if n := len(w.log.lines("the API server is away")); n != 1 {
		t.Errorf("said %d times", n)
	}
}
