package collect

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Events are those about policies and Gateways in the namespaces, "" for all. The
// ones that may not be read are not there: nothing depends on them.
func Events(ctx context.Context, reader client.Reader, namespaces []string) []corev1.Event {
	var all []corev1.Event
	for _, namespace := range namespaces {
		for _, kind := range [...]gwapi.Kind{gwapi.KindBackendTLSPolicy, gwapi.KindGateway} {
			var list corev1.EventList
			about := fields.OneTermEqualSelector("involvedObject.kind", string(kind))
			err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingFieldsSelector{Selector: about})
			if err == nil {
				all = append(all, list.Items...)
			}
		}
	}
	return all
}
