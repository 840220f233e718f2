package collect

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Names lists the names of the objects of a kind in a namespace, "" for a kind
// without, in the order of the API server.
func Names(ctx context.Context, reader client.Reader, kind gwapi.Kind, namespace string) ([]string, error) {
	known, found := resourceOf(kind)
	if !found {
		return nil, fmt.Errorf("a %s cannot be listed", kind)
	}
	c := newCollector(ClusterConfig{Client: reader})
	objects, err := c.list(ctx, known, namespace)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", known.qualified(), err)
	}
	names := make([]string, len(objects))
	for i, object := range objects {
		names[i] = object.GetName()
	}
	return names, nil
}
