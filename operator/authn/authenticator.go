package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

const (
	// reviewTimeout bounds one identification, the wait for its turn included.
	reviewTimeout = 5 * time.Second
	// maxReviews is how many reviews are under way at a time. With some
	// milliseconds for each, a thousand Envoys are back within a second after a
	// restart, and strangers who knock cannot make more work for the API server.
	maxReviews = 16
)

// Config is what an Authenticator needs.
type Config struct {
	// Reviewer asks the API server. It needs the right to create tokenreviews of
	// authentication.k8s.io. Its client should have a rate limit of its own, of
	// at least 100 requests a second.
	Reviewer authenticationv1client.TokenReviewInterface
	// Lookup says which Gateway a pod is an Envoy of. Its error means that it is
	// none. Identify needs it, Caller does not.
	Lookup func(namespace, serviceAccount, pod string, uid types.UID) (gwapi.Key, error)
	// Known says whether there is such a pod that could be a caller, without
	// waiting; nil for any. It spares the API server the tokens of strangers, who
	// could keep callers waiting for their turn by sending many.
	Known func(namespace, pod string, uid types.UID) bool
	// Audience is what the token must have been issued for.
	Audience string
	// Log gets a line, on level debug, for each caller identified. Nil discards.
	Log *slog.Logger
	// Now is the clock that tokens expire by; nil is time.Now.
	Now func() time.Time
}

// Caller is a pod whose identity the API server has vouched for.
type Caller struct {
	Namespace      string
	ServiceAccount string
	Pod            string
	UID            types.UID
	// Expires is when its token ends.
	Expires time.Time
}

// Peer is an Envoy: a Caller that is a pod of a Gateway's fleet.
type Peer struct {
	// Gateway is the only Gateway it belongs to.
	Gateway gwapi.Key
	// Name is the pod's name.
	Name string
	// Expires is when its token ends.
	Expires time.Time
}

// Authenticator identifies callers. It keeps nothing between two calls.
type Authenticator struct {
	config Config
	// turns has a value for each review under way.
	turns chan struct{}
}

// New prepares an Authenticator. It refuses to be without a reviewer or without
// an audience: a token without one is good for the API server itself.
func New(config Config) (*Authenticator, error) {
	if config.Reviewer == nil {
		return nil, errors.New("authn: Config.Reviewer is nil: tokens are judged by the API server alone")
	}
	if config.Audience == "" {
		return nil, errors.New("authn: Config.Audience is empty: tokens for the API server must not be taken")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Authenticator{config: config, turns: make(chan struct{}, maxReviews)}, nil
}

// Identify says which Envoy opened the stream that ctx is of. Its error has
// the status Unavailable where the API server could not be asked, so that
// trying again makes sense, and Unauthenticated otherwise.
func (a *Authenticator) Identify(ctx context.Context) (Peer, error) {
	caller, err := a.Caller(ctx)
	if err != nil {
		return Peer{}, err
	}
	if a.config.Lookup == nil {
		return Peer{}, refuse("no pod is an Envoy here: Config.Lookup is nil")
	}
	gateway, err := a.config.Lookup(caller.Namespace, caller.ServiceAccount, caller.Pod, caller.UID)
	if err != nil {
		return Peer{}, refuse("pod %s/%s (uid %s, service account %s) is no Envoy of this operator: %v",
			caller.Namespace, caller.Pod, caller.UID, caller.ServiceAccount, err)
	}
	if gateway.IsZero() || gateway.Namespace != caller.Namespace {
		return Peer{}, refuse("pod %s/%s (uid %s) was looked up as an Envoy of %q, which is not in its namespace",
			caller.Namespace, caller.Pod, caller.UID, gateway)
	}
	return Peer{Gateway: gateway, Name: caller.Pod, Expires: caller.Expires}, nil
}

// Caller says which pod opened the stream that ctx is of. Errors are those of
// Identify.
func (a *Authenticator) Caller(ctx context.Context) (Caller, error) {
	token, err := tokenOf(ctx)
	if err != nil {
		return Caller{}, refuse("%v", err)
	}
	claimed, err := parseClaims(token)
	if err != nil {
		return Caller{}, refuse("%v", err)
	}
	// These only save the API server work; it judges them too.
	if err := claimed.fits(a.config.Audience, a.config.Now()); err != nil {
		return Caller{}, refuse("%v", err)
	}
	if bound := claimed.Bound; a.config.Known != nil && !a.config.Known(bound.Namespace, bound.Pod.Name, bound.Pod.UID) {
		return Caller{}, refuse("the token is of no pod that is known here")
	}
	caller, err := a.review(ctx, token)
	if err != nil {
		return Caller{}, err
	}
	caller.Expires = claimed.expires
	// The review took time, in which the token may have ended.
	if !a.config.Now().Before(caller.Expires) {
		return Caller{}, refuse("the token expired at %s", caller.Expires.UTC().Format(time.RFC3339))
	}
	a.config.Log.Debug("identified a pod", "namespace", caller.Namespace, "pod", caller.Pod,
		"serviceAccount", caller.ServiceAccount, "expires", caller.Expires)
	return caller, nil
}

// refuse is the error of a caller that is not who it should be.
func refuse(format string, values ...any) error {
	return status.Error(codes.Unauthenticated, fmt.Sprintf(format, values...))
}

// unavailable is the error of a caller about whom nobody could be asked.
func unavailable(format string, values ...any) error {
	return status.Error(codes.Unavailable, fmt.Sprintf(format, values...))
}
