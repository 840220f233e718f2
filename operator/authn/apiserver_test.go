package authn_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
)

const audience = "backendtls-xds"

// grant is what a token is issued for.
type grant struct {
	audiences                     []string
	namespace, account, pod, uid  string
	expires                       time.Time
	user                          string // in place of the ServiceAccount
	unbound, noExpiry, onlyPodKey bool
}

// ofPod is the grant of an Envoy's projected volume.
func ofPod(namespace, account, pod, uid string) grant {
	return grant{
		audiences: []string{audience}, namespace: namespace, account: account, pod: pod, uid: uid,
		expires: time.Now().Add(time.Hour),
	}
}

// apiServer issues tokens and reviews them as the API server does: what it did
// not sign, what is for another audience, what has expired and what is bound to
// a pod that is gone is not authenticated.
type apiServer struct {
	t      *testing.T
	secret []byte
	http   *httptest.Server

	mu      sync.Mutex
	pods    map[string]bool // by UID
	reviews int
	// around, if set, answers instead, or changes the answer.
	around func(http.ResponseWriter, *authenticationv1.TokenReview) (handled bool)
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{t: t, secret: []byte(t.Name()), pods: map[string]bool{"uid-1": true, "uid-2": true}}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// client is a real one.
func (s *apiServer) client() authenticationv1client.TokenReviewInterface {
	s.t.Helper()
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	client, err := authenticationv1client.NewForConfigAndClient(
		&rest.Config{
			Host: s.http.URL, QPS: -1, ContentType: "application/json", AcceptContentTypes: "application/json",
		}, &http.Client{Transport: transport})
	if err != nil {
		s.t.Fatal(err)
	}
	return client.TokenReviews()
}

func (s *apiServer) sign(payload string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// issue makes a token.
func (s *apiServer) issue(g grant) string {
	said := map[string]any{"aud": g.audiences, "exp": g.expires.Unix(), "grant": map[string]any{
		"namespace": g.namespace, "account": g.account, "pod": g.pod, "uid": g.uid, "user": g.user,
		"unbound": g.unbound, "onlyPodKey": g.onlyPodKey,
	}}
	if !g.unbound {
		said["kubernetes.io"] = map[string]any{
			"namespace": g.namespace, "pod": map[string]any{"name": g.pod, "uid": g.uid},
		}
	}
	if g.noExpiry {
		delete(said, "exp")
	}
	raw, err := json.Marshal(said)
	if err != nil {
		s.t.Fatal(err)
	}
	payload := base64.RawURLEncoding.EncodeToString(raw)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + payload + "." + s.sign(payload)
}

func (s *apiServer) gone(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, uid)
}

func (s *apiServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reviews
}

// answering sets what answers instead of the server.
func (s *apiServer) answering(around func(http.ResponseWriter, *authenticationv1.TokenReview) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.around = around
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
		s.t.Errorf("asked for %s %s", r.Method, r.URL.Path)
	}
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.reviews++
	around := s.around
	review.Status = s.judge(review.Spec.Token, review.Spec.Audiences)
	s.mu.Unlock()
	if around != nil && around(w, &review) {
		return
	}
	review.TypeMeta = metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(&review); err != nil {
		s.t.Error(err)
	}
}

func (s *apiServer) judge(token string, wanted []string) authenticationv1.TokenReviewStatus {
	no := func(why string) authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, " + why + "]"}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] != s.sign(parts[1]) {
		return no("square/go-jose: error in cryptographic primitive")
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var said struct {
		Aud   []string
		Exp   int64
		Grant struct {
			Namespace, Account, Pod, UID, User string
			Unbound, OnlyPodKey                bool
		}
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return no(err.Error())
	}
	both := slices.DeleteFunc(slices.Clone(wanted), func(a string) bool { return !slices.Contains(said.Aud, a) })
	switch {
	case len(both) == 0:
		return no(fmt.Sprintf("token audiences %q is invalid for the target audiences %q", said.Aud, wanted))
	case said.Exp != 0 && time.Now().Unix() >= said.Exp:
		return no("service account token has expired")
	case !said.Grant.Unbound && !s.pods[said.Grant.UID]:
		return no("service account token has been invalidated")
	}
	user := authenticationv1.UserInfo{
		Username: "system:serviceaccount:" + said.Grant.Namespace + ":" + said.Grant.Account,
		Extra:    map[string]authenticationv1.ExtraValue{},
	}
	if said.Grant.User != "" {
		user.Username = said.Grant.User
	}
	if !said.Grant.Unbound {
		user.Extra["authentication.kubernetes.io/pod-name"] = []string{said.Grant.Pod}
		if !said.Grant.OnlyPodKey {
			user.Extra["authentication.kubernetes.io/pod-uid"] = []string{said.Grant.UID}
		}
	}
	return authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: both, User: user}
}
