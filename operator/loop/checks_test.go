package loop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// checks are live checks that found what a test says.
type checks struct {
	*neighbors

	found map[model.ProbeKey]model.Probed
	news  chan struct{}
}

func (c checks) Put(gateways map[gwapi.Key]model.Gateway) {
	for key := range gateways {
		c.say("check", key.Name)
	}
}
func (c checks) Probed() map[model.ProbeKey]model.Probed { return c.found }
func (c checks) Changes() <-chan struct{}                { return c.news }

func TestWhatLiveChecksFindReachesTheNextBuildAndIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &neighbors{snap: &snapshot.Snapshot{}}
		l := newLoop(n)
		key := model.ProbeKey{Service: gwapi.KeyOf(gwapi.KindService, "default", "api"), Port: 443, Written: "x"}
		c := checks{n, map[model.ProbeKey]model.Probed{key: {Endpoints: 3}}, make(chan struct{})}
		l.Checks = c
		var seen int
		l.decide = func(snap *snapshot.Snapshot) resolve.Result {
			seen = snap.Observed.Probes[key].Endpoints
			return gatewaysOf(model.Gateway{Key: web, Digest: "1"})(snap)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		defer func() { cancel(); <-done }()
		n.changes <- struct{}{}
		time.Sleep(time.Second)
		synctest.Wait()
		n.said()
		c.found[key] = model.Probed{Endpoints: 5}
		c.news <- struct{}{}
		time.Sleep(time.Second)
		synctest.Wait()
		if seen != 5 {
			t.Errorf("the build saw %d endpoints, want what was found since", seen)
		}
		expect(t, n, "fleet web", "check web")
		// A build that is not whole checks what was to be checked before.
		l.decide = func(*snapshot.Snapshot) resolve.Result { panic("a build that fails") }
		c.news <- struct{}{}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, call := range n.said() {
			if call == "check web" {
				t.Error("what is left of a build that failed is checked")
			}
		}
	})
}
