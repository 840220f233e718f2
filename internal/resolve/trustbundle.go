package resolve

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
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

// authority is the object that a reference to a CA means, of a policy or of what
// clients are verified by, or why there can be none. A ClusterTrustBundle has no
// namespace.
func authority(
	snap *snapshot.Snapshot, group gatewayv1.Group, kind gatewayv1.Kind, namespace string, name gatewayv1.ObjectName,
) (object gwapi.Key, fault string) {
	for _, known := range []gwapi.Kind{gwapi.KindConfigMap, gwapi.KindSecret} {
		if known.Is(&group, &kind, "", "") {
			return gwapi.KeyOf(known, namespace, string(name)), ""
		}
	}
	if gwapi.KindClusterTrustBundle.Is(&group, &kind, "", "") {
		if snap.TrustBundlesDenied != "" {
			return gwapi.Key{}, snap.TrustBundlesDenied
		}
		if !snap.TrustBundlesServed {
			return gwapi.Key{}, "this cluster does not serve ClusterTrustBundles (certificates.k8s.io/v1), " +
				"which Kubernetes does since 1.37; want a ConfigMap or Secret (group \"\") with the key " + caKey
		}
		return gwapi.KeyOf(gwapi.KindClusterTrustBundle, "", string(name)), ""
	}
	return gwapi.Key{}, fmt.Sprintf("%s holds no CA; want a ConfigMap or Secret (group \"\") with the key %s, or a %s "+
		"(group %s)", gwapi.GroupKind(&group, &kind, "", ""), caKey, gwapi.KindClusterTrustBundle,
		gwapi.KindClusterTrustBundle.Group())
}
