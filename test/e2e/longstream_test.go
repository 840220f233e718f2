package e2e

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// longStream is one request whose answer has no end of its own.
type longStream struct {
	host string
	// until is the index of the generation that refuses the host.
	until         int
	began, ended  time.Time
	status, lines int
	done          chan struct{}
}

// streamPath is where every backend answers without an end.
const streamPath = "/stream"

// endless answers with a line now and then until the client is gone.
func endless(w http.ResponseWriter, r *http.Request) {
	flusher, _ := w.(http.Flusher)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte("still here\n")); err != nil {
			return
		}
		flusher.Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// stream begins long requests to the hosts that the stance in force accepts and
// the next one refuses.
func (h *flipping) stream(next stance) {
	h.t.Helper()
	for _, host := range h.history[len(h.history)-1].accepts {
		if !slices.Contains(next.accepts, host) {
			s := h.openStream(host, len(h.streams)%2 == 1)
			s.until = len(h.history)
			h.streams = append(h.streams, s)
		}
	}
}

// openStream waits until the answer has begun.
func (w *world) openStream(host string, http2 bool) *longStream {
	w.t.Helper()
	transport := &http.Transport{}
	if http2 {
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	ctx, stop := context.WithCancel(w.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.gateway.String()+streamPath, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Host = host + ".test"
	s := &longStream{host: host, began: time.Now(), done: make(chan struct{})}
	response, err := transport.RoundTrip(request)
	if err != nil {
		w.t.Fatalf("a stream to %s: %v", request.Host, err)
	}
	s.status = response.StatusCode
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(s.done)
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			s.lines++
		}
		s.ended = time.Now()
	})
	w.t.Cleanup(func() { stop(); reading.Wait(); _ = response.Body.Close(); transport.CloseIdleConnections() })
	return s
}

// over waits for the end, if it has not come yet.
func (s *longStream) over(patience time.Duration) bool {
	select {
	case <-s.done:
		return true
	default:
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-s.done:
		return true
	case <-deadline.C:
		return false
	}
}

// endStreams waits for the streams, and says how many outlasted the trust that
// they began under.
func (h *flipping) endStreams() {
	h.t.Helper()
	outlasted := 0
	for _, s := range h.streams {
		if !s.over(time.Until(s.began.Add(flipBound + flipSlack))) {
			h.t.Errorf("a stream to %s.test goes on %s after it began, %s is documented",
				s.host, time.Since(s.began), flipBound)
			continue
		}
		lasted := s.ended.Sub(s.began)
		if s.status != http.StatusOK || s.lines == 0 {
			h.t.Errorf("a stream to %s.test had status %d and %d lines, want it to begin", s.host, s.status, s.lines)
		}
		if lasted > flipBound+flipSlack {
			h.t.Errorf("a stream to %s.test ended after %s, %s is documented", s.host, lasted, flipBound)
		}
		if s.ended.After(h.history[s.until].programmed) {
			outlasted++
		}
	}
	h.t.Logf("%d streams were under way when their trust was taken away, %d of them were still when that was Programmed; "+
		"all ended by themselves", len(h.streams), outlasted)
	if len(h.streams) == 0 {
		h.t.Error("no stream was begun: nothing is proved")
	}
}
