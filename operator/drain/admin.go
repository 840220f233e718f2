package drain

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
	adminTimeout = 5 * time.Second
	// activeStats selects the counts of connections and requests that are open.
	activeStats = `^(http|listener)\..*downstream_(cx|rq)_active$`
)

// admin speaks with one Envoy over its admin socket.
type admin struct{ client *http.Client }

// open is what clients have open.
type open struct{ requests, connections int }

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

// drain has every connection end with its next response (HTTP/1.1 "connection:
// close", HTTP/2 GOAWAY). Envoy must be started with --drain-strategy immediate,
// or it tells but a growing part of its clients. Listeners that are not closed at
// once are not closed at the end of Envoy's own drain time either (skip_exit).
func (a *admin) drain(ctx context.Context, closed bool) error {
	path := "/drain_listeners?graceful&skip_exit"
	if closed {
		path = "/drain_listeners"
	}
	_, err := a.request(ctx, http.MethodPost, path)
	return err
}

// open counts what clients have open. Kubelet's probes and this program are
// none.
func (a *admin) open(ctx context.Context) (counts open, err error) {
	stats, err := a.request(ctx, http.MethodGet, "/stats?filter="+url.QueryEscape(activeStats))
	if err != nil {
		return counts, err
	}
	scanner := bufio.NewScanner(strings.NewReader(stats))
	for scanner.Scan() {
		name, value, found := strings.Cut(scanner.Text(), ": ")
		kind, rest, _ := strings.Cut(name, ".")
		of, _, _ := strings.Cut(rest, ".")
		if !found || of == "admin" || of == "readiness" || strings.Contains(name, ".worker_") {
			continue
		}
		count, err := strconv.Atoi(value)
		if err != nil {
			return counts, fmt.Errorf("envoy's count %q: %w", name, err)
		}
		switch {
		case kind == "http" && strings.HasSuffix(name, ".downstream_rq_active"):
			counts.requests += count
		case kind == "listener" && strings.HasSuffix(name, ".downstream_cx_active"):
			counts.connections += count
		}
	}
	return counts, scanner.Err()
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
