package status_test

import (
	"context"
	"testing"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/report"
)

// slowCache has informers of Gateways whose handlers are told of all objects
// before whoever added them goes on, and a while longer.
type slowCache struct {
	cache.Cache
	while func()
}

func (c slowCache) GetInformer(
	ctx context.Context, object client.Object, options ...cache.InformerGetOption,
) (cache.Informer, error) {
	informer, err := c.Cache.GetInformer(ctx, object, options...)
	if _, slow := object.(*gatewayv1.Gateway); slow && err == nil {
		informer = slowInformer{informer, c.while}
	}
	return informer, err
}

type slowInformer struct {
	cache.Informer
	while func()
}

func (i slowInformer) AddEventHandler(
	handler toolscache.ResourceEventHandler,
) (toolscache.ResourceEventHandlerRegistration, error) {
	registration, err := i.Informer.AddEventHandler(handler)
	i.while()
	return registration, err
}

func TestWhatIsListedBeforeTheWriterKnowsThatItListensIsWritten(t *testing.T) {
	server := newServerWith(t, gateway("early"))
	s := open(t, server)
	written := func() bool {
		live := gateway("early")
		return server.Get(live) && len(live.Status.Conditions) == 2
	}
	s.Writer = s.over(slowCache{s.cache, func() {
		for end := time.Now().Add(2 * time.Second); !written() && time.Now().Before(end); {
			time.Sleep(2 * time.Millisecond)
		}
	}})
	s.run()
	s.Put(report.Set{gatewayKey("early"): gatewayReport("Accepted")})
	await(t, "the Gateway's status is written", written)
}
