package assess

import (
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/plugin/collect"
)

func TestWhatARouteIsToldOfAnUnseenGatewayDependsOnItsKindWhereThePolicySaysWhatToOffer(t *testing.T) {
	const refused = "UnsupportedProtocol"
	for _, c := range []struct {
		name string
		kind gwapi.Kind
		alpn string
		ours bool
		want string
	}{
		{"the same kind", gwapi.KindHTTPRoute, "h2", true, refused},
		{"another kind", gwapi.KindGRPCRoute, "h2", false, ""},
		{"another kind, where nothing is said of what to offer", gwapi.KindGRPCRoute, "", true, refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := &gatewayv1.BackendTLSPolicy{}
			if c.alpn != "" {
				policy.Spec.Options = map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{
					gwapi.Prefix + "alpn-protocols": gatewayv1.AnnotationValue(c.alpn),
				}
			}
			port := collect.Port{Policy: policy, Strict: model.Path{
				Route: gwapi.KeyOf(gwapi.KindHTTPRoute, "shop", "supposed"), FaultReason: refused,
			}}
			path := model.Path{Route: gwapi.KeyOf(c.kind, "shop", "api"), Controller: gwapi.ControllerName}
			a := &Assessor{World: &collect.World{Snapshot: &snapshot.Snapshot{}}}
			if got := a.known(port, path); got.Ours != c.ours || got.FaultReason != c.want {
				t.Errorf("ours %v, fault %q", got.Ours, got.FaultReason)
			}
		})
	}
}
