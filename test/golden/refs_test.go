package golden_test

import (
	"slices"
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// namesEveryReference makes sure that whatever an object in force refers to,
// existing or missing, is among the Refs of the Gateway: a change of it would
// else go unnoticed in a cluster.
func namesEveryReference(t *testing.T, o outcome) {
	t.Helper()
	for _, key := range o.set.Keys() {
		object, _ := o.set.Get(key)
		switch value := object.Value.(type) {
		case *gatewayv1.Gateway:
			if _, ours := o.result.Gateways[key]; ours {
				o.needs(t, key, key, slices.DeleteFunc(namedByGateway(value), func(object gwapi.Key) bool {
					// What it may not refer to must not be read.
					return object.Kind == gwapi.KindSecret && object.Namespace != value.Namespace && !o.granted(key, object)
				})...)
			}
		case *gatewayv1.HTTPRoute:
			for _, gateway := range gatewaysOf(value) {
				if _, ours := o.result.Gateways[gateway]; ours {
					o.needs(t, gateway, key, namedByRoute(value)...)
				}
			}
		case *gatewayv1.BackendTLSPolicy:
			if !object.Good() || len(o.set.Places(key)) > 1 {
				// Nobody follows what an unusable policy refers to.
				continue
			}
			status := o.result.Reports[key]
			for i := range status.Ancestors {
				if gateway, found := gwapi.ParentKey(&status.Ancestors[i].AncestorRef, value.Namespace); found {
					o.needs(t, gateway, key, namedByPolicy(value)...)
				}
			}
		}
	}
}

// granted says whether a ReferenceGrant of the case allows the reference.
func (o outcome) granted(from, to gwapi.Key) bool {
	return gwapi.Allowed(o.set.Snapshot().ReferenceGrants.Sorted(), from, to)
}

func (o outcome) needs(t *testing.T, gateway, by gwapi.Key, objects ...gwapi.Key) {
	t.Helper()
	for _, object := range objects {
		if !slices.Contains(o.result.Refs[object], gateway) {
			t.Errorf("%s, named by %s, is not among the Refs of %s", object, by, gateway)
		}
	}
}

func namedByGateway(gateway *gatewayv1.Gateway) (named []gwapi.Key) {
	if infrastructure := gateway.Spec.Infrastructure; infrastructure != nil && infrastructure.ParametersRef != nil {
		if ref := infrastructure.ParametersRef; ref.Kind == gatewayv1.Kind(gwapi.KindGatewayParameters) {
			named = append(named, gwapi.KeyOf(gwapi.KindGatewayParameters, gateway.Namespace, ref.Name))
		}
	}
	for _, listener := range gateway.Spec.Listeners {
		if listener.TLS == nil {
			continue
		}
		for _, ref := range listener.TLS.CertificateRefs {
			if ref.Kind != nil && *ref.Kind != gatewayv1.Kind(gwapi.KindSecret) {
				continue
			}
			namespace := gateway.Namespace
			if ref.Namespace != nil {
				namespace = string(*ref.Namespace)
			}
			named = append(named, gwapi.KeyOf(gwapi.KindSecret, namespace, string(ref.Name)))
		}
	}
	return named
}

func gatewaysOf(route *gatewayv1.HTTPRoute) (gateways []gwapi.Key) {
	for i := range route.Spec.ParentRefs {
		if gateway, found := gwapi.ParentKey(&route.Spec.ParentRefs[i], route.Namespace); found {
			gateways = append(gateways, gateway)
		}
	}
	return gateways
}

func namedByRoute(route *gatewayv1.HTTPRoute) (named []gwapi.Key) {
	for _, rule := range route.Spec.Rules {
		for _, ref := range rule.BackendRefs {
			if ref.Kind != nil && *ref.Kind != gatewayv1.Kind(gwapi.KindService) {
				continue
			}
			namespace := route.Namespace
			if ref.Namespace != nil {
				namespace = string(*ref.Namespace)
			}
			named = append(named, gwapi.KeyOf(gwapi.KindService, namespace, string(ref.Name)))
		}
	}
	return named
}

func namedByPolicy(policy *gatewayv1.BackendTLSPolicy) (named []gwapi.Key) {
	for _, ref := range policy.Spec.TargetRefs {
		named = append(named, gwapi.KeyOf(gwapi.KindService, policy.Namespace, string(ref.Name)))
	}
	for _, ref := range policy.Spec.Validation.CACertificateRefs {
		if kind := gwapi.Kind(ref.Kind); kind == gwapi.KindConfigMap || kind == gwapi.KindSecret {
			named = append(named, gwapi.KeyOf(kind, policy.Namespace, string(ref.Name)))
		}
	}
	listed := strings.NewReplacer(",", " ").Replace(string(policy.Spec.Options["backendtls.dev/trusted-certificates"]))
	for item := range strings.FieldsSeq(listed) {
		kind, name, _ := strings.Cut(item, "/")
		name, _, _ = strings.Cut(name, ":")
		switch kind {
		case "configmap":
			named = append(named, gwapi.KeyOf(gwapi.KindConfigMap, policy.Namespace, name))
		case "secret":
			named = append(named, gwapi.KeyOf(gwapi.KindSecret, policy.Namespace, name))
		}
	}
	return named
}
