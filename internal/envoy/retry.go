package envoy

import (
	"slices"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// retryOn is only what says that no backend has seen the request: there was no
	// connection, the HTTP/2 stream was refused (RFC 9113 section 8.7), or the
	// connection was lost before any of it was sent.
	retryOn = "connect-failure,refused-stream,reset-before-request"

	// retries is how often a request is tried again, each time with another
	// endpoint as long as there is one.
	retries = 2

	// retryPause is before the first retry, on average half of it: an endpoint that
	// is gone is no reason to wait, and there usually is another.
	retryPause = 10 * time.Millisecond

	// choices is how often load balancing may choose again for a retry when it
	// chose an endpoint that was tried. An endpoint that is gone has no requests
	// under way, so of two it is preferred by least requests: three times in four
	// if the other one is busy. At 64 that is once in 10^8.
	choices = 64
)

// persist gives a virtual host that forwards requests a retry policy: one for
// all its routes.
func (t *translation) persist(host *routev3.VirtualHost) error {
	if !slices.ContainsFunc(host.GetRoutes(), func(r *routev3.Route) bool { return r.GetRoute() != nil }) {
		return nil
	}
	policy, err := t.retryPolicy()
	host.RetryPolicy = policy
	return err
}

// retryPolicy keeps a request alive whose backend has just gone away: Envoy
// hears of that a little later than the connection does. A backend whose
// certificate is refused is tried again too; no attempt is less strict.
func (t *translation) retryPolicy() (*routev3.RetryPolicy, error) {
	if t.retry != nil {
		return t.retry, nil
	}
	previous, err := pack(&previousv3.PreviousHostsPredicate{})
	if err != nil {
		return nil, err
	}
	t.retry = &routev3.RetryPolicy{
		RetryOn:    retryOn,
		NumRetries: wrapperspb.UInt32(retries),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       previousHosts,
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: previous},
		}},
		HostSelectionRetryMaxAttempts: choices,
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(retryPause),
			MaxInterval:  durationpb.New(5 * retryPause),
		},
	}
	return t.retry, nil
}
