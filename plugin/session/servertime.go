package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// clockPatience is how long the API server may take to say what time it is.
const clockPatience = 10 * time.Second

// serverTime is the time on the clock of the API server, to the second: the Date
// of its answer to a small question (RFC 9110, section 6.6.1). A mode begins and
// ends by the clocks in the cluster: one that began by a clock ahead of those
// would be refused as not started, and one behind would be cut short. Whether
// the question itself is allowed does not matter: a refusal has a Date too. It
// is asked for each time, because what the World was judged by may be a minute
// old, and never guessed from this machine's clock. Whoever does not answer
// within clockPatience is not waited for.
func serverTime(ctx context.Context, cluster Cluster) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, clockPatience)
	defer cancel()
	config, err := cluster.RESTConfig()
	if err != nil {
		return time.Time{}, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return time.Time{}, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return time.Time{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), http.NoBody)
	if err != nil {
		return time.Time{}, err
	}
	response, err := client.Do(request)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return time.Time{}, fmt.Errorf("nothing was written: the API server did not say within %s what time it is: %w",
			clockPatience, err)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("nothing was written: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	at, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("nothing was written: the API server did not say what time it is, and a mode must "+
			"not begin by another clock (its Date header: %w)", err)
	}
	return at, nil
}
