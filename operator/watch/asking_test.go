package watch_test

import (
	"context"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/backendtls/backendtls/operator/apitest"
)

// crowd answers nobody before so many have asked.
type crowd struct {
	mu     sync.Mutex
	lacks  int
	gather chan struct{}
}

func newCrowd(size int) *crowd { return &crowd{lacks: size, gather: make(chan struct{})} }

func (c *crowd) join(ctx context.Context) error {
	c.mu.Lock()
	if c.lacks--; c.lacks == 0 {
		close(c.gather)
	}
	c.mu.Unlock()
	select {
	case <-c.gather:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestAStartAsksAboutAllKindsAtOnceAfterTheFirst(t *testing.T) {
	server := apitest.New(t)
	// Of 16 kinds nine are the Gateway API's, and have a bundle version.
	kinds, bundles := newCrowd(15), newCrowd(8)
	server.Hook(func(ctx context.Context, r apitest.Request) error {
		switch {
		case r.Resource == "gatewayclasses", r.Name == "gatewayclasses.gateway.networking.k8s.io":
		case r.Verb == "list" && r.Metadata:
			return kinds.join(ctx)
		case r.Verb == "get" && r.Resource == "customresourcedefinitions":
			return bundles.join(ctx)
		}
		return nil
	})
	w := opened(t, server)
	if bundles := w.source.Snapshot().Bundles; len(bundles) != 9 {
		t.Errorf("the snapshot has the bundle versions %v", bundles)
	}
}

func TestWhereNobodyAnswersTheFirstQuestionNoOtherIsAsked(t *testing.T) {
	server := apitest.New(t)
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb == "list" && r.Metadata {
			return apierrors.NewInternalError(context.DeadlineExceeded)
		}
		return nil
	})
	w := open(t, server, long)
	eventually(t, "it is said", func() bool { return len(w.log.lines("cannot be asked which objects there are")) > 0 })
	for _, r := range server.Requests() {
		if r.Verb == "list" && r.Metadata && r.Resource != "gatewayclasses" {
			t.Errorf("%s was asked about", r.Resource)
		}
	}
}
