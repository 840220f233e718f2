package authn

import (
	"context"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the API server says of a token that is bound to a pod
// (k8s.io/apiserver/pkg/authentication/serviceaccount). Other authenticators
// cannot say it: structured authentication refuses keys of kubernetes.io.
const (
	userPrefix = "system:serviceaccount:"
	podName    = "authentication.kubernetes.io/pod-name"
	podUID     = "authentication.kubernetes.io/pod-uid"
)

// review has the API server judge the token.
func (a *Authenticator) review(ctx context.Context, token string) (Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-ctx.Done():
		return Caller{}, unavailable("the token was not checked: %d reviews are under way and none ended in %s",
			maxReviews, reviewTimeout)
	}
	answer, err := a.config.Reviewer.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{a.config.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return Caller{}, unavailable("the token was not checked, creating a tokenreview: %s", redact(err.Error(), token))
	}
	if answer == nil {
		return Caller{}, unavailable("the token was not checked: the API server's answer is empty")
	}
	return a.judge(&answer.Status, token)
}

// judge takes the API server's answer only if it is whole.
func (a *Authenticator) judge(answer *authenticationv1.TokenReviewStatus, token string) (Caller, error) {
	words := redact(answer.Error, token)
	switch {
	case !answer.Authenticated && words != "":
		return Caller{}, refuse("the API server does not accept the token: %s", words)
	case !answer.Authenticated:
		return Caller{}, refuse("the API server does not accept the token")
	case words != "":
		return Caller{}, unavailable("the API server accepts the token with an error: %s", words)
	case !slices.Contains(answer.Audiences, a.config.Audience):
		// An API server that does not know audiences leaves them out and judges the
		// token as one for itself.
		return Caller{}, refuse("the API server accepts the token, but not for the audience %q", a.config.Audience)
	}
	user, isAccount := strings.CutPrefix(answer.User.Username, userPrefix)
	namespace, account, whole := strings.Cut(user, ":")
	if !isAccount || !whole || namespace == "" || account == "" || strings.Contains(account, ":") {
		return Caller{}, refuse("the token is of user %.100q, want a service account", answer.User.Username)
	}
	pod, uid := answer.User.Extra[podName], answer.User.Extra[podUID]
	if len(pod) != 1 || len(uid) != 1 || pod[0] == "" || uid[0] == "" {
		return Caller{}, refuse("the token of service account %s/%s is not bound to a pod, want one of a projected volume",
			namespace, account)
	}
	return Caller{Namespace: namespace, ServiceAccount: account, Pod: pod[0], UID: types.UID(uid[0])}, nil
}

const (
	// maxWords is how much is repeated of what the API server says.
	maxWords = 300
	// secretPart is the shortest part of a token worth hiding: its header is the
	// same for all, its payload and signature are longer than this.
	secretPart = 8
)

// redact removes the token, and its parts, from somebody else's words.
func redact(words, token string) string {
	words = strings.ReplaceAll(words, token, "[token]")
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= secretPart {
			words = strings.ReplaceAll(words, part, "[token]")
		}
	}
	words = strings.ToValidUTF8(words, "?")
	if len(words) > maxWords {
		words = strings.ToValidUTF8(words[:maxWords], "") + "..."
	}
	return words
}
