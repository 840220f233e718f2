package tunnel_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/test/leak"
)

// TestMain lets spdystream wait for what a closed connection never brings: 30 s
// for a stream to be confirmed, a second to close what is closed and, at the
// server's end, for its own word.
func TestMain(m *testing.M) {
	leak.Main(m)
}

// slow answers after a second and remembers how many were asked at once.
type slow struct {
	lock                sync.Mutex
	running, most, asks int
}

func (s *slow) Probe(ctx context.Context, endpoint model.Endpoint, sni string) model.Observation {
	s.lock.Lock()
	s.running++
	s.asks++
	s.most = max(s.most, s.running)
	s.lock.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	s.lock.Lock()
	s.running--
	s.lock.Unlock()
	return model.Observation{Endpoint: endpoint, SNI: sni}
}

func jobs(n int) []tunnel.Job {
	list := make([]tunnel.Job, n)
	for i := range list {
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 443)
		list[i] = tunnel.Job{Endpoint: model.Endpoint{Address: address}, SNI: "api"}
	}
	return list
}

func TestFetchAsksEightAtOnceAndEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := &slow{}
		asked := append(jobs(20), jobs(20)...)
		var told []int
		start := time.Now()
		got, err := tunnel.Fetch(t.Context(), prober, asked, func(done, of int) {
			if of != 20 {
				t.Errorf("progress says %d of %d", done, of)
			}
			told = append(told, done)
		})
		if err != nil || len(got) != 20 || prober.asks != 20 {
			t.Fatalf("%d observations of %d questions, error %v", len(got), prober.asks, err)
		}
		if prober.most != tunnel.Limit {
			t.Errorf("%d at once, want %d", prober.most, tunnel.Limit)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("20 answers of a second each took %s, want 3s", took)
		}
		for i, done := range told {
			if done != i+1 {
				t.Fatalf("progress counted %v", told)
			}
		}
	})
}

func TestFetchAsksAgainForAnotherServerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := &slow{}
		asked := append(jobs(1), tunnel.Job{Endpoint: jobs(1)[0].Endpoint, SNI: "other"})
		got, err := tunnel.Fetch(t.Context(), prober, asked, nil)
		if err != nil || len(got) != 2 {
			t.Fatalf("%d observations, error %v", len(got), err)
		}
		if sni := got[asked[1].Question()].SNI; sni != "other" {
			t.Errorf("the second question was asked as %q", sni)
		}
	})
}

func TestFetchStopsWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		prober := &slow{}
		got, err := tunnel.Fetch(ctx, prober, jobs(100), nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if len(got) != tunnel.Limit {
			t.Errorf("%d observations, want the %d that answered in time", len(got), tunnel.Limit)
		}
	})
}

func TestFetchOfNothingIsNothing(t *testing.T) {
	got, err := tunnel.Fetch(t.Context(), &slow{}, nil, nil)
	if err != nil || len(got) != 0 {
		t.Errorf("%v, error %v", got, err)
	}
}
