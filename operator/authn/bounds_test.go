package authn_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/operator/authn"
)

// reviewer takes its time.
type reviewer struct {
	takes time.Duration

	mu            sync.Mutex
	running, most int
}

func (r *reviewer) Create(
	ctx context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions,
) (*authenticationv1.TokenReview, error) {
	r.mu.Lock()
	r.running++
	r.most = max(r.most, r.running)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.running--
		r.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(r.takes):
	}
	review = review.DeepCopy()
	review.Status = authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{audience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:shop:backendtls-web",
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"envoy-1"},
				"authentication.kubernetes.io/pod-uid":  {"uid-1"},
			},
		},
	}
	return review, nil
}

// incoming is the context of a stream with that token.
func incoming(ctx context.Context, token string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
}

func newAuthenticator(t testing.TB, r *reviewer) *authn.Authenticator {
	t.Helper()
	a, err := authn.New(authn.Config{Reviewer: r, Lookup: fleet, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReviewsAreFewAtATimeAndNobodyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := (&apiServer{t: t}).issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
		r := &reviewer{takes: 10 * time.Millisecond}
		a := newAuthenticator(t, r)
		var streams sync.WaitGroup
		for range 200 {
			streams.Go(func() {
				if _, err := a.Identify(incoming(t.Context(), token)); err != nil {
					t.Error(err)
				}
			})
		}
		streams.Wait()
		if r.most > 16 {
			t.Errorf("%d reviews at a time", r.most)
		}
	})
}

func TestAReviewThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := (&apiServer{t: t}).issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
		r := &reviewer{takes: time.Hour}
		a := newAuthenticator(t, r)
		var streams sync.WaitGroup
		begin := time.Now()
		// More than have a turn: those who wait are not left to wait either.
		for range 40 {
			streams.Go(func() {
				if _, err := a.Identify(incoming(t.Context(), token)); status.Code(err) != codes.Unavailable {
					t.Errorf("got %v, want Unavailable", err)
				}
			})
		}
		streams.Wait()
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %s, want 5 s", took)
		}
	})
}

func TestATokenThatEndsDuringItsReviewIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := ofPod("shop", "backendtls-web", "envoy-1", "uid-1")
		g.expires = time.Now().Add(2 * time.Second)
		token := (&apiServer{t: t}).issue(g)
		a := newAuthenticator(t, &reviewer{takes: 3 * time.Second})
		if _, err := a.Identify(incoming(t.Context(), token)); status.Code(err) != codes.Unauthenticated {
			t.Errorf("got %v, want Unauthenticated", err)
		}
	})
}

func TestACallerIsToldAsTheAPIServerKnowsIt(t *testing.T) {
	g := ofPod("shop", "backendtls-web", "envoy-1", "uid-1")
	a := newAuthenticator(t, &reviewer{})
	got, err := a.Caller(incoming(t.Context(), (&apiServer{t: t}).issue(g)))
	want := authn.Caller{
		Namespace: "shop", ServiceAccount: "backendtls-web", Pod: "envoy-1", UID: "uid-1",
		Expires: time.Unix(g.expires.Unix(), 0),
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestAnAuthenticatorIsRefusedThatWouldTakeAnything(t *testing.T) {
	for name, config := range map[string]authn.Config{
		"no reviewer": {Audience: audience},
		"no audience": {Reviewer: &reviewer{}},
	} {
		if _, err := authn.New(config); err == nil {
			t.Errorf("%s: one was made", name)
		}
	}
	a, err := authn.New(authn.Config{Reviewer: &reviewer{}, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	token := (&apiServer{t: t}).issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
	if _, err := a.Identify(incoming(t.Context(), token)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a lookup: %v, want Unauthenticated", err)
	}
}

func FuzzHeader(f *testing.F) {
	valid := (&apiServer{secret: []byte("x")}).issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer " + valid, valid, "bearer  " + valid, "Bearer a.b.c", "Bearer " + valid + "\x00",
		"Bearer a.eyJleHAiOjFlNDAwfQ.c", "Bearer a.eyJhdWQiOlsiYmFja2VuZHRscy14ZHMiXSwiZXhwIjotMX0.c",
	} {
		f.Add(seed)
	}
	a, err := authn.New(authn.Config{Reviewer: &reviewer{}, Lookup: func(_, _, _ string, uid types.UID) (gwapi.Key, error) {
		if uid != "uid-1" {
			return gwapi.Key{}, errors.New("no Envoy")
		}
		return web, nil
	}, Audience: audience})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"authorization": {header}})
		peer, err := a.Identify(ctx)
		switch {
		case err == nil && !peer.Expires.After(time.Now()):
			t.Errorf("%q is good until %s", header, peer.Expires)
		case err != nil && len(header) > 30 && strings.Contains(err.Error(), header):
			t.Errorf("the error repeats the token: %v", err)
		}
	})
}

// TestStrangersDoNotKeepTheAPIServerBusy: a token of a pod that nobody knows is
// refused without a review, whatever it says besides; one of a known pod is not
// believed for that.
func TestStrangersDoNotKeepTheAPIServerBusy(t *testing.T) {
	s := newAPIServer(t)
	known := func(namespace, pod string, uid types.UID) bool {
		return namespace == "shop" && pod == "envoy-1" && uid == "uid-1"
	}
	a, err := authn.New(authn.Config{Reviewer: s.client(), Lookup: fleet, Known: known, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	identify := func(g grant) error {
		header := metadata.Pairs("authorization", "Bearer "+s.issue(g))
		_, err := a.Identify(metadata.NewIncomingContext(t.Context(), header))
		return err
	}
	for sentence, g := range map[string]grant{
		"another pod":       ofPod("shop", "backendtls-web", "envoy-9", "uid-1"),
		"another UID":       ofPod("shop", "backendtls-web", "envoy-1", "uid-2"),
		"another namespace": ofPod("bank", "backendtls-web", "envoy-1", "uid-1"),
		"no pod":            {audiences: []string{audience}, expires: time.Now().Add(time.Hour), unbound: true},
	} {
		if err := identify(g); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", sentence, err)
		}
	}
	if n := s.count(); n != 0 {
		t.Errorf("the API server was asked %d times", n)
	}
	if err := identify(ofPod("shop", "backendtls-web", "envoy-1", "uid-1")); err != nil {
		t.Error(err)
	}
	forged := ofPod("shop", "backendtls-web", "envoy-1", "uid-1")
	s.gone("uid-1")
	if err := identify(forged); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a known pod without a good token: %v", err)
	}
}
