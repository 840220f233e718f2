package authn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// header is where Envoy's credential_injector puts the token.
	header = "authorization"
	// maxToken is more than ten times what the API server issues.
	maxToken = 16 << 10
	// scheme is that of RFC 6750, in lower case; schemes have none (RFC 9110,
	// section 11.1).
	scheme = "bearer"
)

var (
	errNoToken   = errors.New("no authorization header, want one with a service account token")
	errTwoTokens = errors.New("several authorization headers, want one")
	errTooLong   = fmt.Errorf("the authorization header is longer than %d bytes", maxToken)
	errNoBearer  = errors.New(`the authorization header has a scheme other than "Bearer"`)
	errNotJWT    = errors.New("the token is no service account token: not three parts in base64url of a JSON object")
)

// tokenOf is the one token in the metadata of a stream: after "Bearer ", or
// alone, as a credential_injector without header_value_prefix sends it.
func tokenOf(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, header)
	switch {
	case len(values) == 0:
		return "", errNoToken
	case len(values) > 1:
		return "", errTwoTokens
	case len(values[0]) > maxToken:
		return "", errTooLong
	}
	first, second, two := strings.Cut(strings.TrimSpace(values[0]), " ")
	switch {
	case first == "":
		return "", errNoToken
	case !two && strings.EqualFold(first, scheme):
		return "", errNoToken
	case !two:
		return first, nil
	case !strings.EqualFold(first, scheme):
		return "", errNoBearer
	}
	token := strings.TrimLeft(second, " ")
	if strings.ContainsAny(token, ", \t") {
		// A list of credentials, joined by a proxy or by the client.
		return "", errTwoTokens
	}
	return token, nil
}

// claims are what a token says of itself (RFC 7519, sections 4.1.3 and 4.1.4).
type claims struct {
	Audience audiences   `json:"aud"`
	Expiry   json.Number `json:"exp"`
	// Bound is the pod it says to be of (k8s.io/kubernetes, pkg/serviceaccount,
	// privateClaims).
	Bound bound `json:"kubernetes.io"`
	// expires is Expiry as a time.
	expires time.Time
}

// bound is what a token is bound to.
type bound struct {
	Namespace string `json:"namespace"`
	Pod       struct {
		Name string    `json:"name"`
		UID  types.UID `json:"uid"`
	} `json:"pod"`
}

// audiences are one string or several.
type audiences []string

func (a *audiences) UnmarshalJSON(raw []byte) error {
	var one string
	if err := json.Unmarshal(raw, &one); err == nil {
		*a = audiences{one}
		return nil
	}
	var several []string
	if err := json.Unmarshal(raw, &several); err != nil {
		return errNotJWT
	}
	*a = several
	return nil
}

// parseClaims reads a token without judging it. The error repeats nothing of
// it.
func parseClaims(token string) (claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, errNotJWT
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, errNotJWT
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, errNotJWT
	}
	seconds, err := c.Expiry.Float64()
	if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > maxSeconds {
		return claims{}, errors.New("the token has no expiry, want one of the TokenRequest API")
	}
	c.expires = time.Unix(int64(seconds), 0)
	return c, nil
}

// maxSeconds is the end of the year 9999, after which times cannot be written.
const maxSeconds = 253402300799

// fits says what in the claims makes it useless to ask about the token.
func (c claims) fits(audience string, now time.Time) error {
	if !slices.Contains(c.Audience, audience) {
		return fmt.Errorf("the token is not for the audience %q", audience)
	}
	if !now.Before(c.expires) {
		return fmt.Errorf("the token expired at %s", c.expires.UTC().Format(time.RFC3339))
	}
	return nil
}
