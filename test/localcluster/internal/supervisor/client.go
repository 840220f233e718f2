package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
)

// ErrAbsent is the error of a cluster whose supervisor does not answer.
var ErrAbsent = errors.New("no supervisor answers")

// Client asks the supervisor of a cluster.
type Client struct {
	http http.Client
}

// NewClient is a client for the cluster in that directory.
func NewClient(h home.Home) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		// The directory may be too deep for a socket's address, but not through
		// a descriptor of it.
		directory, err := unix.Open(h.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer func() { _ = unix.Close(directory) }()
		return new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", directory, socketFile))
	}
	return &Client{http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// List returns the state of all parts.
func (c *Client) List(ctx context.Context) ([]Status, error) {
	body, err := c.ask(ctx, http.MethodGet, "/parts", nil)
	if err != nil {
		return nil, err
	}
	var statuses []Status
	if err := json.Unmarshal(body, &statuses); err != nil {
		return nil, fmt.Errorf("supervisor's answer: %w", err)
	}
	return statuses, nil
}

// Act does something to a part, see Actions, and waits until it is done.
func (c *Client) Act(ctx context.Context, action, name string) error {
	_, err := c.ask(ctx, http.MethodPost, "/parts/"+url.PathEscape(name)+"/"+url.PathEscape(action), nil)
	return err
}

// Load imports the images of a tar file into the node.
func (c *Client) Load(ctx context.Context, images io.Reader) error {
	_, err := c.ask(ctx, http.MethodPost, "/images", images)
	return err
}

func (c *Client) ask(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(content)))
	}
	return content, nil
}
