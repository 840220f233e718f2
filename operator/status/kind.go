package status

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// kind is a kind of objects that carry a status of ours.
type kind struct {
	name   gwapi.Kind
	object func() client.Object
	list   func() client.ObjectList
	// anonymous: the conditions do not say which controller wrote them.
	anonymous bool
}

// kinds are all of them; report.Of and report.Apply know the same.
var kinds = []kind{
	{
		name:      gwapi.KindGatewayClass,
		object:    func() client.Object { return &gatewayv1.GatewayClass{} },
		list:      func() client.ObjectList { return &gatewayv1.GatewayClassList{} },
		anonymous: true,
	},
	{
		name:      gwapi.KindGateway,
		object:    func() client.Object { return &gatewayv1.Gateway{} },
		list:      func() client.ObjectList { return &gatewayv1.GatewayList{} },
		anonymous: true,
	},
	{
		name:      gwapi.KindListenerSet,
		object:    func() client.Object { return &gatewayv1.ListenerSet{} },
		list:      func() client.ObjectList { return &gatewayv1.ListenerSetList{} },
		anonymous: true,
	},
	{
		name:   gwapi.KindHTTPRoute,
		object: func() client.Object { return &gatewayv1.HTTPRoute{} },
		list:   func() client.ObjectList { return &gatewayv1.HTTPRouteList{} },
	},
	{
		name:   gwapi.KindGRPCRoute,
		object: func() client.Object { return &gatewayv1.GRPCRoute{} },
		list:   func() client.ObjectList { return &gatewayv1.GRPCRouteList{} },
	},
	{
		name:   gwapi.KindTLSRoute,
		object: func() client.Object { return &gatewayv1.TLSRoute{} },
		list:   func() client.ObjectList { return &gatewayv1.TLSRouteList{} },
	},
	{
		name:   gwapi.KindTCPRoute,
		object: func() client.Object { return &gatewayv1.TCPRoute{} },
		list:   func() client.ObjectList { return &gatewayv1.TCPRouteList{} },
	},
	{
		name:   gwapi.KindBackendTLSPolicy,
		object: func() client.Object { return &gatewayv1.BackendTLSPolicy{} },
		list:   func() client.ObjectList { return &gatewayv1.BackendTLSPolicyList{} },
	},
}

// kindOf finds a kind by its name.
func kindOf(name gwapi.Kind) (kind, bool) {
	at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if at < 0 {
		return kind{}, false
	}
	return kinds[at], true
}

// key names an object of the kind.
func (k kind) key(object client.Object) gwapi.Key {
	return gwapi.KeyOf(k.name, object.GetNamespace(), object.GetName())
}
