package watch

import (
	"context"
	"errors"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// bundleAnnotation holds the release that a CustomResourceDefinition of the
// Gateway API is of (gateway-api v1.7.0, pkg/consts).
const bundleAnnotation = "gateway.networking.k8s.io/bundle-version"

// readBundles reads the bundle versions of the Gateway API's
// CustomResourceDefinitions. They are nil where it may not read them, and not
// known where nobody answered.
func (s *Source) readBundles(ctx context.Context) (bundles map[string]string, known bool) {
	ctx, stop := context.WithTimeout(ctx, s.pace.patience)
	defer stop()
	var subjects []*subject
	for _, subject := range s.subjects {
		if subject.version.Group == gatewayv1.GroupName {
			subjects = append(subjects, subject)
		}
	}
	definitions := make([]metav1.PartialObjectMetadata, len(subjects))
	ask := func(i int, subject *subject) error {
		definitions[i].SetGroupVersionKind(crdKind)
		return s.config.Client.Get(ctx, client.ObjectKey{Name: subject.definition()}, &definitions[i])
	}
	fatal := func(err error) bool { return client.IgnoreNotFound(err) != nil }
	bundles = map[string]string{}
	for i, err := range askEach(subjects, ask, fatal) {
		switch {
		case err == nil:
			bundles[subjects[i].definition()] = definitions[i].Annotations[bundleAnnotation]
		case apierrors.IsNotFound(err):
		case apierrors.IsForbidden(err):
			s.journal.warn("bundles", "which version of the Gateway API is installed cannot "+
				"be read, GatewayClasses say SupportedVersion=Unknown: the operator's ClusterRole lacks get of "+
				"customresourcedefinitions", "error", err)
			return nil, true
		default:
			if !errors.Is(err, context.Canceled) {
				s.journal.warn("bundles", "which version of the Gateway API is installed cannot be read now", "error", err)
			}
			return nil, false
		}
	}
	s.journal.over("bundles")
	return bundles, true
}

func sameBundles(a, b map[string]string) bool { return (a == nil) == (b == nil) && maps.Equal(a, b) }
