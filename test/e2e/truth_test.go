package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/operator/loop"
)

// claim is what the status file said over a span of time: from the end of the
// first to the start of the last of the reads that found the same.
type claim struct {
	from, to   time.Time
	degraded   string
	programmed bool
	generation int64
}

// watch samples the status file continuously.
func (w *world) watch(ctx context.Context) (claims func() []claim) {
	var list []claim
	var watching sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	watching.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			started := time.Now()
			c := w.claim()
			if last := len(list) - 1; last >= 0 && list[last].same(c) {
				list[last].to = started
			} else {
				c.from = time.Now()
				list = append(list, c)
			}
		}
	})
	end := sync.OnceFunc(func() { stop(); watching.Wait() })
	w.t.Cleanup(end)
	return func() []claim {
		end()
		return list
	}
}

func (c claim) same(other claim) bool {
	return c.degraded == other.degraded && c.programmed == other.programmed && c.generation == other.generation
}

func (w *world) claim() claim {
	var c claim
	status, _, _ := readStatus[gatewayv1.PolicyStatus](w, "BackendTLSPolicy", "api")
	for _, ancestor := range status.Ancestors {
		for _, condition := range ancestor.Conditions {
			switch condition.Type {
			case "SecurityDegraded":
				c.degraded = string(condition.Status)
			case "Programmed":
				c.programmed = condition.Status == "True"
				c.generation = condition.ObservedGeneration
			}
		}
	}
	return c
}

// truth holds what status claimed against what clients got, while a policy
// changes between strict and skip.
type truth struct {
	w       *world
	traffic *traffic
	claims  func() []claim
	changes []change
}

// change is when a mode was written and when it was taken out again.
type change struct{ loose, strict time.Time }

// observe begins to sample status and to send requests.
func (w *world) observe(host string) *truth {
	w.t.Helper()
	return &truth{w: w, claims: w.watch(w.t.Context()), traffic: w.traffic(host)}
}

// loosen waits until clients get 200.
func (h *truth) loosen(write func()) {
	h.w.t.Helper()
	h.changes = append(h.changes, change{loose: time.Now()})
	write()
	h.traffic.both(h.w, time.Now(), http.StatusOK)
}

// tighten waits until clients get 503 and status says so.
func (h *truth) tighten(write func()) {
	h.w.t.Helper()
	h.changes[len(h.changes)-1].strict = time.Now()
	write()
	h.traffic.both(h.w, time.Now(), http.StatusServiceUnavailable)
	h.w.eventually("SecurityDegraded=False again", func() bool {
		return h.w.policyCondition("api", "SecurityDegraded").Status == "False"
	})
}

// tightening says whether the newest change before t was to strict.
func (h *truth) tightening(t time.Time) bool {
	strict := true
	for _, c := range h.changes {
		if t.After(c.loose) {
			strict = t.After(c.strict)
		}
	}
	return strict
}

// judge compares every claim with every answer within its span. Odd generations
// are strict, even ones skip verification.
func (h *truth) judge() {
	t := h.w.t
	t.Helper()
	h.traffic.end()
	all := h.traffic.since(time.Time{})
	for _, c := range h.claims() {
		for _, a := range all {
			if !a.sent.After(c.from) || !a.answered.Before(c.to) {
				continue
			}
			// That Envoy may be stricter than status says while it is tightened is
			// meant. What was sent just before may be decided about just after.
			strict := c.generation%2 == 1
			if c.programmed && strict == (a.status == http.StatusOK) && (strict || !h.tightening(a.answered)) {
				t.Errorf("an answer of %d, %s into a span of %s in which generation %d was Programmed",
					a.status, a.sent.Sub(c.from), c.to.Sub(c.from), c.generation)
			}
			if a.status == http.StatusOK && c.degraded == "False" {
				t.Errorf("an unverified answer %s into a span of %s in which SecurityDegraded was False",
					a.sent.Sub(c.from), c.to.Sub(c.from))
			}
		}
	}
	if len(h.claims()) < 2*len(h.changes) {
		t.Errorf("only %d different claims were seen in %d changes there and back", len(h.claims()), len(h.changes))
	}
}

// TestStatusTellsTheTruthAtEveryMoment switches between strict and skip under
// traffic. Only a mode admits the backend, so every 200 is an unverified
// answer: no request that was sent and answered within a span in which status
// said SecurityDegraded=False may be one, and none in a span in which the strict
// generation was Programmed. In one in which the other was, every one is.
func TestStatusTellsTheTruthAtEveryMoment(t *testing.T) {
	f, w := worldWithMode(t)
	w.start()
	w.eventually("503 at first", func() bool {
		return w.programmed("api") && w.get("api.test") == http.StatusServiceUnavailable
	})
	truth := w.observe("api.test")
	for range 5 {
		truth.loosen(func() { w.write("policy.yaml", policy("api", f.trusted, f.mode("InsecureSkipVerification"))) })
		truth.tighten(func() { w.write("policy.yaml", policy("api", f.trusted, nil)) })
	}
	truth.judge()
}

// TestNothingIsLoosenedBeforeStatusSaysSo holds statuses back.
func TestNothingIsLoosenedBeforeStatusSaysSo(t *testing.T) {
	f, w := worldWithMode(t)
	gate := &held{open: true}
	w.assemble(func(sink loop.StatusSink) loop.StatusSink { gate.StatusSink = sink; return gate })
	w.eventually("503 at first", func() bool {
		return w.programmed("api") && w.get("api.test") == http.StatusServiceUnavailable
	})
	gate.hold()
	w.write("policy.yaml", policy("api", f.trusted, f.mode("InsecureSkipVerification")))
	// That the operator has read the mode shows in what it wants to say.
	w.eventually("the operator wants to say SecurityDegraded=True", gate.wantsDegraded)
	tr := w.traffic("api.test")
	held := time.Now()
	tr.both(w, held.Add(time.Second), http.StatusServiceUnavailable)
	tr.none(t, held, http.StatusOK, "status was held back")
	tr.end()
	gate.release()
	w.open()
	// Tightening does not wait for status.
	gate.hold()
	w.write("policy.yaml", policy("api", f.trusted, nil))
	strict := time.Now().Add(time.Second)
	tr = w.traffic("api.test")
	tr.both(w, strict, http.StatusServiceUnavailable)
	tr.none(t, strict, http.StatusOK, "the mode was taken out while status was held back")
	if got := w.policyCondition("api", "SecurityDegraded").Status; got != "True" {
		t.Errorf("SecurityDegraded is %s though no status was let through", got)
	}
	gate.release()
	w.eventually("SecurityDegraded=False", func() bool {
		return w.policyCondition("api", "SecurityDegraded").Status == "False"
	})
}

// wantsDegraded says whether what is held back says SecurityDegraded=True.
func (h *held) wantsDegraded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, report := range h.latest {
		if key.Kind != "BackendTLSPolicy" {
			continue
		}
		for _, ancestor := range report.Ancestors {
			for _, condition := range ancestor.Conditions {
				if condition.Type == "SecurityDegraded" && condition.Status == "True" {
					return true
				}
			}
		}
	}
	return false
}
