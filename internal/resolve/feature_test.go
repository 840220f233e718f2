package resolve_test

import (
	"slices"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

func classFeatures(t *testing.T, snap *snapshot.Snapshot) []gatewayv1.FeatureName {
	t.Helper()
	snap.Now = buildTime
	snap.GatewayClasses = snapshot.NewObjects(&gatewayv1.GatewayClass{
		Name: "backendtls", Spec: gatewayv1.GatewayClassSpec{ControllerName: gwapi.ControllerName},
	})
	var names []gatewayv1.FeatureName
	for _, feature := range resolve.Build(snap).Reports[gwapi.KeyOf(gwapi.KindGatewayClass, "", "backendtls")].Features {
		names = append(names, feature.Name)
	}
	return names
}

func TestAClassListsItsFeaturesAsTheAPIDemands(t *testing.T) {
	names := classFeatures(t, &snapshot.Snapshot{})
	const most = 64 // GatewayClassStatus.supportedFeatures
	if len(names) == 0 || len(names) > most {
		t.Errorf("%d features, the API takes 1 to %d", len(names), most)
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted by name: %v", names)
	}
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("one is there twice: %v", names)
	}
	known := features.SetsToNamesSet(features.AllFeatures)
	mesh := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)
	for _, name := range names {
		if !known.Has(features.FeatureName(name)) || mesh.Has(features.FeatureName(name)) {
			t.Errorf("%s is no feature of Gateways in Gateway API v1.7.0", name)
		}
	}
}

func TestAFeatureIsNamedWhereTheCoreOfItsProfileIs(t *testing.T) {
	names := classFeatures(t, &snapshot.Snapshot{})
	for _, core := range []gatewayv1.FeatureName{"Gateway", "HTTPRoute", "ReferenceGrant", "BackendTLSPolicy"} {
		if !slices.Contains(names, core) {
			t.Errorf("%s is missing in %v", core, names)
		}
	}
}
