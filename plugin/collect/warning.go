package collect

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
)

// systemRoots is the ConfigMap that wellKnownCACertificates: System means.
var systemRoots = gwapi.KeyOf(gwapi.KindConfigMap, manifest.SystemRootsName.Namespace, manifest.SystemRootsName.Name)

// warnings say what was not allowed, each cause once with every kind that it
// concerns, and which kinds the cluster does not serve, where that matters.
func (c *collector) warnings() []string {
	var list []string
	add := func(format string, concerns func(refusal) bool, describe func(refusal) string) {
		var what []string
		for _, r := range c.refusals {
			if concerns(r) {
				what = append(what, describe(r))
			}
		}
		slices.Sort(what)
		if len(what) > 0 {
			list = append(list, fmt.Sprintf(format, strings.Join(slices.Compact(what), ", ")))
		}
	}
	kind := func(r refusal) string { return r.resource.qualified() }
	add("you may not list %s in all namespaces: only those of namespace "+c.config.Namespace+
		" are read, and elsewhere what they name, where you may get that",
		func(r refusal) bool { return r.fallback != "" }, kind)
	add("you may not list %s: what they say is missing here, except for what is named and you may get",
		func(r refusal) bool { return r.name == "" && r.fallback == "" && r.namespace == "" }, kind)
	add("you may not list %s: what they say is missing here",
		func(r refusal) bool { return r.name == "" && r.namespace != "" },
		func(r refusal) string { return kind(r) + " in namespace " + r.namespace })
	add("you may not get %s: what they say is missing here",
		func(r refusal) bool { return r.name != "" },
		func(r refusal) string {
			return gwapi.KeyOf(r.resource.kind, r.namespace, r.name).String()
		})
	if c.unserved[gwapi.KindBackendTLSPolicy] {
		list = append(list, "this cluster serves no backendtlspolicies.gateway.networking.k8s.io: "+
			"its Gateway API is older than v1.1, or that CRD was left out, so no policy can exist")
	}
	if c.unserved[gwapi.KindGatewayParameters] && c.hasOurClass() {
		list = append(list, "this cluster serves no gatewayparameters.backendtls.dev, though a GatewayClass names "+
			gwapi.ControllerName+": that CRD comes with the operator's manifests, and without it no insecure mode is allowed")
	}
	return list
}

// hasOurClass says whether a GatewayClass of this project's controller was read.
func (c *collector) hasOurClass() bool {
	for _, object := range c.objects {
		if class, ok := object.(*gatewayv1.GatewayClass); ok && class.Spec.ControllerName == gwapi.ControllerName {
			return true
		}
	}
	return false
}
