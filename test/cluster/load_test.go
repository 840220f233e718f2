package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// habit is how a client uses its connections.
type habit string

const (
	keeps       habit = "HTTP/1.1, a connection that is kept"
	connects    habit = "HTTP/1.1, a connection for each request"
	multiplexes habit = "HTTP/2 with prior knowledge, a connection that is kept"
)

// load is 100 requests per second, at an even pace, whatever comes of them:
// how many clients of each habit there are, and how many requests per second
// these send together.
var load = []struct {
	habit           habit
	clients, second int
}{
	{keeps, 10, 40}, {connects, 6, 30}, {multiplexes, 6, 30},
}

// patience is how long a client waits for an answer.
const patience = 10 * time.Second

// answer is what came of one request.
type answer struct {
	habit habit
	// name is in the request's header User-Agent, and so in Envoy's access log.
	name           string
	sent, answered time.Time
	// reused says that the connection had served a request before.
	reused bool
	// status is 0 where there was none; words are then the error, else the body of
	// what is no 200.
	status int
	words  string
}

func (a *answer) String() string {
	connection := "new"
	if a.reused {
		connection = "reused"
	}
	return fmt.Sprintf("%s after %s: %s (%s): %d %s [%s]", a.sent.Format("15:04:05.000"),
		a.answered.Sub(a.sent).Round(time.Millisecond), a.habit, connection, a.status, a.words, a.name)
}

// traffic is the load on a Gateway, from its start to the end of the test.
type traffic struct {
	space *space
	mu    sync.Mutex
	// answers are in the order in which they came.
	answers []*answer
}

// newTraffic sends requests to an address until the test ends.
func newTraffic(t *testing.T, space *space, address string) *traffic {
	tr := &traffic{space: space}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, l := range load {
		pause := time.Second * time.Duration(l.clients) / time.Duration(l.second)
		for i := range l.clients {
			c := &caller{habit: l.habit, url: "http://" + address + "/", name: fmt.Sprintf("%s-%d", l.habit.short(), i)}
			late := pause * time.Duration(i) / time.Duration(l.clients)
			clients.Go(func() { c.run(ctx, late, pause, tr.take) })
		}
	}
	t.Cleanup(func() {
		stop()
		clients.Wait()
	})
	return tr
}

func (h habit) short() string {
	switch h {
	case keeps:
		return "keep"
	case connects:
		return "new"
	default:
		return "h2"
	}
}

// caller sends requests, one after the other.
type caller struct {
	habit     habit
	url, name string
}

func (c *caller) run(ctx context.Context, late, pause time.Duration, take func(*answer)) {
	transport := &http.Transport{DisableKeepAlives: c.habit == connects}
	if c.habit == multiplexes {
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	defer transport.CloseIdleConnections()
	select {
	case <-ctx.Done():
		return
	case <-time.After(late):
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := 0; ; n++ {
		if a := c.ask(ctx, transport, n); ctx.Err() == nil {
			take(a)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask sends a POST, which no client repeats by itself once it may have been
// seen.
func (c *caller) ask(ctx context.Context, transport *http.Transport, n int) *answer {
	a := &answer{habit: c.habit, name: fmt.Sprintf("%s-%d", c.name, n), sent: time.Now()}
	defer func() { a.answered = time.Now() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { a.reused = got.Reused },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, http.NoBody)
	if err != nil {
		a.words = err.Error()
		return a
	}
	request.Header.Set("User-Agent", a.name)
	response, err := transport.RoundTrip(request)
	if err != nil {
		a.words = err.Error()
		return a
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	switch {
	case err != nil:
		a.words = "reading the body: " + err.Error()
	case response.StatusCode != http.StatusOK:
		a.status, a.words = response.StatusCode, fmt.Sprintf("%.200q", body)
	default:
		a.status = response.StatusCode
	}
	return a
}

func (tr *traffic) take(a *answer) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.answers = append(tr.answers, a)
}

// since are the answers to requests that were sent after a moment, in the order
// of sending.
func (tr *traffic) since(moment time.Time) []*answer {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var list []*answer
	for _, a := range tr.answers {
		if a.sent.After(moment) {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b *answer) int { return a.sent.Compare(b.sent) })
	return list
}

// failures are the answers that are no 200.
func failures(answers []*answer) []*answer {
	var failed []*answer
	for _, a := range answers {
		if a.status != http.StatusOK {
			failed = append(failed, a)
		}
	}
	return failed
}

// report tells how requests failed, with what Envoy logged of them.
func (tr *traffic) report(t *testing.T, failed []*answer) {
	t.Helper()
	if len(failed) == 0 {
		return
	}
	logged := tr.logged(t.Context(), failed)
	const most = 25
	for i, a := range failed {
		if i == most {
			t.Logf("... and %d more, the last: %s %s", len(failed)-most, failed[len(failed)-1], logged[failed[len(failed)-1].name])
			break
		}
		t.Logf("%s %s", a, logged[a.name])
	}
}

// logged is what the access logs of the Envoys that still are there say of
// requests.
func (tr *traffic) logged(ctx context.Context, failed []*answer) map[string]string {
	said := map[string]string{}
	since := time.Since(failed[0].sent) + patience
	output, err := here.run(ctx, "logs", "-n", tr.space.name, "-l", "app.kubernetes.io/name=backendtls-envoy",
		"--prefix", "--tail=-1", "--since="+since.Round(time.Second).String())
	if err != nil && output == "" {
		return said
	}
	wanted := map[string]bool{}
	for _, a := range failed {
		wanted[a.name] = true
	}
	for line := range strings.Lines(output) {
		pod, text, _ := strings.Cut(line, " ")
		var entry struct {
			Name     string `json:"user_agent"`
			Flags    string `json:"response_flags"`
			Details  string `json:"response_code_details"`
			Endpoint string `json:"endpoint"`
			TLS      string `json:"upstream_transport_failure"`
		}
		if json.Unmarshal([]byte(text), &entry) == nil && wanted[entry.Name] {
			said[entry.Name] = fmt.Sprintf("%s: flags %s, %s, endpoint %s, TLS %q",
				pod, entry.Flags, entry.Details, entry.Endpoint, entry.TLS)
		}
	}
	return said
}

// enough waits until n requests that were sent after a moment were answered.
func (tr *traffic) enough(t *testing.T, moment time.Time, n int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%d requests are answered", n), func() string {
		if got := len(tr.since(moment)); got < n {
			return fmt.Sprintf("it is %d", got)
		}
		return ""
	})
}

// pace checks that the load was one: that as many requests were sent as should
// have been, but for some that a loaded machine was late with.
func (tr *traffic) pace(t *testing.T, began time.Time) {
	t.Helper()
	answers := tr.since(began)
	took := time.Since(began)
	var slowest *answer
	habits := map[habit]int{}
	for _, a := range answers {
		habits[a.habit]++
		if slowest == nil || a.answered.Sub(a.sent) > slowest.answered.Sub(slowest.sent) {
			slowest = a
		}
	}
	perSecond := float64(len(answers)) / took.Seconds()
	t.Logf("%d requests in %s, %.0f per second: %v; the slowest: %s", len(answers), took.Round(time.Second), perSecond, habits, slowest)
	if perSecond < 80 {
		t.Errorf("%.0f requests per second are no load of 100", perSecond)
	}
}
