package collect

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	add := func(sentence string, concerns func(refusal) bool) {
		if what := c.refused(concerns); len(what) > 0 {
			list = append(list, fmt.Sprintf(sentence, strings.Join(what, ", ")))
		}
	}
	if c.boundToOne() {
		list = append(list, "you may list in namespace "+c.config.Namespace+
			" only: of the others, what is named there is read, where you may get it")
	} else {
		add("you may not list %s in all namespaces: only those of namespace "+c.config.Namespace+
			" are read, and what those name elsewhere, where you may get it",
			func(r refusal) bool { return r.fallback != "" })
	}
	add("you may not list %s: what they say is missing here",
		func(r refusal) bool { return r.name == "" && r.fallback == "" })
	add("you may not get %s: what is in it is missing here",
		func(r refusal) bool { return r.name != "" && !c.listRefused(r.resource.kind) })
	if c.ownRoots {
		list = append(list, "you may not get "+systemRoots.String()+": for wellKnownCACertificates System, the roots that "+
			"this program carries stand in")
	}
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

// boundToOne says whether everything that has a namespace could be listed in
// the one of the config, and nothing of it elsewhere.
func (c *collector) boundToOne() bool {
	for _, known := range listed {
		if known.cluster || c.unserved[known.kind] || known.kind == gwapi.KindEndpointSlice && !c.config.AllNamespaces {
			continue
		}
		bound := func(r refusal) bool { return r.fallback != "" && r.resource.kind == known.kind }
		if !slices.ContainsFunc(c.refusals, bound) {
			return false
		}
	}
	return true
}

// refused describes refusals, each kind once: where it may not be listed, with
// the names that may not be read either.
func (c *collector) refused(concerns func(refusal) bool) []string {
	var what []string
	for _, r := range c.refusals {
		switch {
		case !concerns(r):
		case r.name != "":
			what = append(what, gwapi.KeyOf(r.resource.kind, r.namespace, r.name).String())
		case r.namespace != "":
			what = append(what, r.resource.qualified()+" in namespace "+r.namespace)
		default:
			what = append(what, r.resource.qualified()+c.norGet(r.resource.kind))
		}
	}
	slices.Sort(what)
	return slices.Compact(what)
}

// norGet names what may not be read by name either.
func (c *collector) norGet(kind gwapi.Kind) string {
	var names []string
	for _, r := range c.refusals {
		if r.resource.kind == kind && r.name != "" {
			names = append(names, strings.TrimPrefix(r.namespace+"/"+r.name, "/"))
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return " (nor get " + strings.Join(names, ", ") + ")"
}

// listRefused says whether the kind may not be listed everywhere.
func (c *collector) listRefused(kind gwapi.Kind) bool {
	return slices.ContainsFunc(c.refusals, func(r refusal) bool {
		return r.resource.kind == kind && r.name == "" && r.namespace == ""
	})
}

// standInRoots uses the system's roots that this program carries: where the
// cluster's may not be read, and where there are none because another
// implementation decides what they are. Where our operator runs and its roots are
// missing, they are.
func (c *collector) standInRoots(err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if apierrors.IsNotFound(err) && c.hasOurClass() {
		return
	}
	// A policy that is still to be made is judged, and no certificate by it: which
	// roots those are changes nothing that is shown.
	c.ownRoots = apierrors.IsForbidden(err) && !c.config.SystemRoots
	c.objects[systemRoots] = manifest.SystemRoots()
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
