package watch_test

import (
	"context"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

func trustBundle(text string) *certificatesv1.ClusterTrustBundle {
	return &certificatesv1.ClusterTrustBundle{
		Name: "roots", Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: text},
	}
}

func TestTrustBundlesAreThereOnceTheServerServesThem(t *testing.T) {
	server := apitest.New(t)
	install := server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource == "clustertrustbundles" {
			return apierrors.NewGenericServerResponse(404, "list", schema.GroupResource{}, "", "no such resource", 0, true)
		}
		return nil
	})
	server.Put(trustBundle("one"))
	w := opened(t, server)
	if snap := w.source.Snapshot(); snap.TrustBundlesServed || snap.TrustBundles.Len() != 0 {
		t.Errorf("served %v, %d of them, where there is no such API", snap.TrustBundlesServed, snap.TrustBundles.Len())
	}
	install()
	w.until("they are read", func(snap *snapshot.Snapshot) bool {
		return snap.TrustBundlesServed && snap.TrustBundles.Len() == 1
	})
}

func TestATrustBundleThatIsNamedIsAChange(t *testing.T) {
	server := apitest.New(t)
	server.Put(trustBundle("one"))
	w := opened(t, server)
	gateway := gwapi.KeyOf(gwapi.KindGateway, "web", "o")
	key := gwapi.KeyOf(gwapi.KindClusterTrustBundle, "", "roots")
	w.source.Need(map[gwapi.Key][]gwapi.Key{key: {gateway}})
	w.noChange()
	server.Put(trustBundle("two"))
	w.until("the new one is read", func(snap *snapshot.Snapshot) bool {
		found, _ := snap.TrustBundles.Get(types.NamespacedName{Name: "roots"})
		return found != nil && found.Spec.TrustBundle == "two"
	})
	w.awaitChange()
}
