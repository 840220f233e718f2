package document

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/snapshot"
)

func TestObjectsOfEveryKindComeIntoTheSnapshot(t *testing.T) {
	var snap snapshot.Snapshot
	counts := map[string]func() int{
		"GatewayClass":       func() int { return snap.GatewayClasses.Len() },
		"Gateway":            func() int { return snap.Gateways.Len() },
		"ListenerSet":        func() int { return snap.ListenerSets.Len() },
		"HTTPRoute":          func() int { return snap.HTTPRoutes.Len() },
		"GRPCRoute":          func() int { return snap.GRPCRoutes.Len() },
		"TLSRoute":           func() int { return snap.TLSRoutes.Len() },
		"TCPRoute":           func() int { return snap.TCPRoutes.Len() },
		"ReferenceGrant":     func() int { return snap.ReferenceGrants.Len() },
		"BackendTLSPolicy":   func() int { return snap.TLSPolicies.Len() },
		"GatewayParameters":  func() int { return snap.Parameters.Len() },
		"Service":            func() int { return snap.Services.Len() },
		"ConfigMap":          func() int { return snap.ConfigMaps.Len() },
		"ClusterTrustBundle": func() int { return snap.TrustBundles.Len() },
		"Namespace":          func() int { return snap.Namespaces.Len() },
		"Secret":             func() int { return snap.Secrets.Len() },
	}
	for kind, count := range counts {
		for _, text := range []string{
			`{"kind": "$", "metadata": {"name": "a"}}`, `{"kind": "$", "metadata": {"name": "a"}}`,
			`{"kind": "$", "metadata": {"name": 1}}`, `{"kind": "$", "metadata": {"name": "b"}, "kind": "Pod"}`, `{"kind":`,
		} {
			Add(&snap, []byte(strings.ReplaceAll(text, "$", kind)))
		}
		if got := count(); got != 1 {
			t.Errorf("%d objects of kind %s, want the one that can be read", got, kind)
		}
	}
}

func TestTheStringsOfASecretAreItsData(t *testing.T) {
	var snap snapshot.Snapshot
	Add(&snap, []byte(`{"kind": "Secret", "metadata": {"name": "a"}, "data": {"x": "b25l", "y": "b25l"}, "stringData": {"y": "two"}}`))
	secret, found := snap.Secrets.Get(types.NamespacedName{Name: "a"})
	if !found || string(secret.Data["x"]) != "one" || string(secret.Data["y"]) != "two" {
		t.Errorf("secret %v", secret)
	}
}
