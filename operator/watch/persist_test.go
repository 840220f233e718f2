package watch_test

import (
	"testing"

	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

func TestAfterAnOutageChangesAreSeen(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(gateway("a"))
	w := opened(t, server)
	server.SetAway(true)
	eventually(t, "it is said", func() bool { return len(w.log.lines("the API server is away")) > 0 })
	eventually(t, "it is asked again and again", func() bool { return server.SentAway("gateways") > 2 })
	server.Put(gateway("b"))
	server.SetAway(false)
	w.until("it is as the server says", func(snap *snapshot.Snapshot) bool { return snap.Gateways.Len() == 2 })
	eventually(t, "it is said", func() bool { return len(w.log.lines("the API server answers again")) > 0 })
	if n := len(w.log.lines("the API server is away")); n != 1 {
		t.Errorf("said %d times", n)
	}
}
