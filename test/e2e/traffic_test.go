package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// answer is one request of the traffic.
type answer struct {
	// sent is when the client began to send it, answered when it had the answer.
	sent, answered time.Time
	status         int
	// reused says that the connection had served a request before.
	reused bool
	http2  bool
}

// traffic sends requests to a host without pause over client connections that
// are kept, HTTP/1.1 and HTTP/2, until stopped.
type traffic struct {
	mu      sync.Mutex
	answers []answer
	stop    context.CancelFunc
	clients sync.WaitGroup
	// pause is between two requests of one client.
	pause time.Duration
}

// pace is the pause between two requests of one client.
const pace = 2 * time.Millisecond

func (w *world) traffic(host string) *traffic {
	w.t.Helper()
	return w.trafficAt(host, 4, pace)
}

// trafficAt is traffic of so many clients, each of which makes that pause.
func (w *world) trafficAt(host string, clients int, pause time.Duration) *traffic {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	tr := &traffic{stop: stop, pause: pause}
	for i := range clients {
		http2 := i%2 == 1
		transport := &http.Transport{MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1}
		if http2 {
			transport.Protocols = &http.Protocols{}
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		connections := &counter{}
		transport.DialContext = connections.dial
		tr.clients.Go(func() {
			defer transport.CloseIdleConnections()
			tr.run(ctx, &http.Client{Transport: transport, Timeout: patience}, w.gateway.String(), host, http2, connections)
		})
	}
	w.t.Cleanup(tr.end)
	return tr
}

// counter counts connections, to see that they are kept.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (tr *traffic) run(
	ctx context.Context, client *http.Client, address, host string, http2 bool, connections *counter,
) {
	tick := time.NewTicker(tr.pause)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
		if err != nil {
			return
		}
		request.Host = host
		before := connections.count()
		a := answer{sent: time.Now(), http2: http2}
		if response, err := client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			a.status = response.StatusCode
		}
		a.answered = time.Now()
		a.reused = before > 0 && connections.count() == before
		if ctx.Err() != nil {
			return
		}
		tr.mu.Lock()
		tr.answers = append(tr.answers, a)
		tr.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// end stops the clients.
func (tr *traffic) end() {
	tr.stop()
	tr.clients.Wait()
}

// since lists the answers to requests that were sent after t.
func (tr *traffic) since(t time.Time) []answer {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var list []answer
	for _, a := range tr.answers {
		if a.sent.After(t) {
			list = append(list, a)
		}
	}
	return list
}

// both waits until kept connections of both protocols have had the status in
// answers to requests sent after t.
func (tr *traffic) both(w *world, t time.Time, status int) {
	w.t.Helper()
	w.eventually("answers over kept connections of both protocols", func() bool {
		one, two := 0, 0
		for _, a := range tr.since(t) {
			if a.status != status || !a.reused {
				continue
			}
			if a.http2 {
				two++
			} else {
				one++
			}
		}
		return one >= 5 && two >= 5
	})
}

// none fails if a request sent after t got the status.
func (tr *traffic) none(t *testing.T, after time.Time, status int, why string) {
	t.Helper()
	for _, a := range tr.since(after) {
		if a.status == status {
			t.Errorf("a request sent %s after %s got %d (http2 %t, kept connection %t)",
				a.sent.Sub(after), why, status, a.http2, a.reused)
			return
		}
	}
}
