package watch

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"
)

// persistent asks an API server that is away again and again, every second or
// so. By themselves the reflectors of client-go wait longer after each failure,
// up to a minute: that long after an outage nothing would be known of what has
// changed meanwhile. It is for requests that only read.
type persistent struct {
	next       http.RoundTripper
	complaints *journal
	// pause is the time between two attempts, give or take a half.
	pause time.Duration
}

// outage is the subject of what the journal says of an API server that is away.
const outage = "the API server is away"

// largestAnswer is how much of an answer that says nothing is read, so that its
// connection can be used again.
const largestAnswer = 64 << 10

// RoundTrip returns what the API server answers, or an error that does not go
// away by waiting.
func (p *persistent) RoundTrip(request *http.Request) (*http.Response, error) {
	for failed := false; ; failed = true {
		response, err := p.next.RoundTrip(request)
		why := absence(response, err)
		if why == nil || request.Method != http.MethodGet || request.Context().Err() != nil {
			if failed && why == nil && p.complaints.over(outage) {
				p.complaints.log.Info("the API server answers again")
			}
			return response, err
		}
		p.complaints.warn(outage, "the API server is away, what was read last stays in force", "error", why)
		if response != nil {
			_, _ = io.CopyN(io.Discard, response.Body, largestAnswer)
			_ = response.Body.Close()
		}
		pause := p.pause/2 + rand.N(p.pause) //nolint:gosec // so that not all ask at once
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-time.After(pause):
		}
	}
}

// absence says why nobody answered who could have; nil where somebody did, or
// where asking again is of no use.
func absence(response *http.Response, err error) error {
	if err == nil {
		if slices.Contains([]int{
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		}, response.StatusCode) {
			return fmt.Errorf("it answers %s", response.Status)
		}
		return nil
	}
	// Not what is wrong with a certificate, for instance.
	if _, network := errors.AsType[net.Error](err); network || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}
