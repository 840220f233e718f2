package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// adminTimeout bounds one request to Envoy's admin interface.
	adminTimeout = time.Second
	// idleGrace is how long connections without a request stay open in a drain:
	// a request that is on its way is then answered, with the word to close.
	idleGrace = 300 * time.Millisecond
	// drainTick is the pause between two looks at the counts.
	drainTick = 20 * time.Millisecond
)

// activeStats selects the counts of connections and requests that are open.
const activeStats = `^(http|listener)\..*downstream_(cx|rq)_active$`

// admin speaks with one Envoy over its admin socket.
type admin struct{ client *http.Client }

func newAdmin(socket string) *admin {
	return &admin{client: &http.Client{
		Timeout: adminTimeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var dialer net.Dialer
				return dialer.DialContext(ctx, "unix", socket)
			},
		},
	}}
}

func (a *admin) close() { a.client.CloseIdleConnections() }

// drain stops new connections, tells clients of the open ones to go (HTTP/1.1
// "connection: close", HTTP/2 GOAWAY), and waits until no request is in
// flight. It gives up after grace, or when gone is closed.
//
// Without "graceful", /drain_listeners closes the listening sockets at once and
// ends every open connection with its next response. A grace period in which
// new connections are still accepted would serve a load balancer that is to
// notice first, and there is none here.
func (a *admin) drain(ctx context.Context, grace time.Duration, gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if _, err := a.request(ctx, http.MethodPost, "/drain_listeners"); err != nil {
		return err
	}
	began := time.Now()
	for {
		requests, connections, err := a.active(ctx)
		switch {
		case err != nil:
			return err
		case connections == 0, requests == 0 && time.Since(began) >= idleGrace:
			return nil
		}
		select {
		case <-gone:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d requests did not end within %s", requests, grace)
		case <-time.After(drainTick):
		}
	}
}

// active counts open requests and connections, the admin's own left out.
func (a *admin) active(ctx context.Context) (requests, connections int, err error) {
	stats, err := a.request(ctx, http.MethodGet, "/stats?filter="+url.QueryEscape(activeStats))
	if err != nil {
		return 0, 0, err
	}
	scanner := bufio.NewScanner(strings.NewReader(stats))
	for scanner.Scan() {
		name, value, found := strings.Cut(scanner.Text(), ": ")
		if !found || strings.HasPrefix(name, "http.admin.") || strings.HasPrefix(name, "listener.admin.") {
			continue
		}
		count, err := strconv.Atoi(value)
		if err != nil {
			return 0, 0, fmt.Errorf("envoy's count %q: %w", name, err)
		}
		switch {
		case strings.HasSuffix(name, ".downstream_rq_active"):
			requests += count
		case strings.HasPrefix(name, "listener.") && !strings.Contains(name, ".worker_"):
			connections += count
		}
	}
	return requests, connections, scanner.Err()
}

func (a *admin) request(ctx context.Context, method, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("envoy answers %s to %s %s", response.Status, method, path)
	}
	return string(body), nil
}
