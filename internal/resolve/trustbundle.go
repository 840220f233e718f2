package resolve

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// trustBundle is what a ClusterTrustBundle holds, under the key that CA bundles
// have elsewhere. Where there is no such API a reference to one is of an unknown
// kind, which is for the caller to say.
func (s *bundles) trustBundle(
	gateway gwapi.Key, name types.NamespacedName,
) (data map[string][]byte, why absence, sentence string) {
	found, why, sentence := find(s.b, gateway, gwapi.KindClusterTrustBundle, s.b.snap.TrustBundles, name)
	if why != present {
		return nil, why, sentence
	}
	return map[string][]byte{caKey: []byte(found.Spec.TrustBundle)}, present, ""
}

// place says where a bundle is, for messages.
func place(object gwapi.Key, key string) string {
	if object.Kind == gwapi.KindClusterTrustBundle {
		return object.String() + " spec.trustBundle"
	}
	return fmt.Sprintf("%s key %s", object, strconv.Quote(key))
}

// frontendTrustBundle reads a ClusterTrustBundle that clients are verified by. It
// has no namespace, so nobody has to grant anything (Gateway API, ObjectReference
// of a cluster-scoped resource).
func (b *builder) frontendTrustBundle(
	gateway gwapi.Key, f *frontend, field string, ref *gatewayv1.ObjectReference,
) (found bundle, ok bool) {
	if ref.Namespace != nil && *ref.Namespace != "" {
		f.fault(gatewayv1.ListenerReasonInvalidCACertificateRef, fmt.Sprintf(
			"%sa %s has no namespace, %q is given", field, gwapi.KindClusterTrustBundle, *ref.Namespace))
		return bundle{}, false
	}
	found = b.bundles.get(gateway, gwapi.KeyOf(gwapi.KindClusterTrustBundle, "", string(ref.Name)), caKey)
	switch found.why {
	case present:
		return found, true
	case unseen:
		f.unseen = append(f.unseen, field+found.fault)
	case missing, faulty, forbidden:
		f.fault(gatewayv1.ListenerReasonInvalidCACertificateRef, field+found.fault)
	}
	return bundle{}, false
}
