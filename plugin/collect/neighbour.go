package collect

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
)

// Neighbour is an object of another implementation that configures TLS to a
// Service as well, beside its BackendTLSPolicy.
type Neighbour struct {
	Kind, Namespace, Name string
	// Setting is what it says about TLS, in the words of its fields, such as
	// "tls.mode DISABLE".
	Setting string

	// serves says whether it concerns the port on the way from a Gateway.
	serves func(gateway gwapi.Key, port Port) bool
}

// String is KIND NAMESPACE/NAME (SETTING), as the object's author wrote them.
func (n Neighbour) String() string {
	return fmt.Sprintf("%s %s/%s (%s)", n.Kind, n.Namespace, n.Name, n.Setting)
}

// neighbourKind is a kind of another implementation that is read where Gateways
// of that implementation lead to Services.
type neighbourKind struct {
	group, kind, plural string
	// versions are the ones to ask for, newest first. The fields that are read are
	// the same in all.
	versions []string
	// controller begins the controllerNames that obey it.
	controller string
	// read is what an object says, nil if it says nothing about TLS.
	read func(*unstructured.Unstructured) []Neighbour
}

func neighbourKinds() []neighbourKind {
	return []neighbourKind{
		{
			group: "networking.istio.io", kind: "DestinationRule", plural: "destinationrules",
			versions: []string{"v1", "v1beta1", "v1alpha3"}, controller: "istio.io/", read: destinationRule,
		},
		{
			group: "gateway.kgateway.dev", kind: "BackendConfigPolicy", plural: "backendconfigpolicies",
			versions: []string{"v1alpha1"}, controller: "kgateway.dev/", read: backendConfigPolicy,
		},
	}
}

// neighbours are what was read of other implementations.
type neighbours struct {
	found []Neighbour
	// unread says, by the beginning of a controllerName, which kind could not be
	// read and why.
	unread map[string]string
}

// Neighbours are the objects that configure TLS on the way from a Gateway of
// another controller to the port.
func (w *World) Neighbours(gateway gwapi.Key, port Port) []Neighbour {
	var list []Neighbour
	for _, one := range w.neighbours.found {
		if one.serves(gateway, port) {
			list = append(list, one)
		}
	}
	return list
}

// UnreadNeighbours says what could not be read of what a controller obeys beside
// policies, and why; "" if everything was, or if there is no such kind.
func (w *World) UnreadNeighbours(controller string) string {
	for prefix, reason := range w.neighbours.unread {
		if strings.HasPrefix(controller, prefix) {
			return reason
		}
	}
	return ""
}

// obeyed are the kinds that the controller of some path obeys.
func (w *World) obeyed() []neighbourKind {
	return slices.DeleteFunc(neighbourKinds(), func(known neighbourKind) bool {
		return !slices.ContainsFunc(w.Result.Paths, func(path model.Path) bool {
			return strings.HasPrefix(w.ControllerOf(path), known.controller)
		})
	})
}

// readNeighbours reads of other implementations what changes the truth about
// their paths. A kind that is not served is nothing; one that may not be read is
// told in a warning.
func (c *collector) readNeighbours(ctx context.Context, world *World) error {
	for _, known := range world.obeyed() {
		objects, err := c.listNeighbours(ctx, known)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			world.missNeighbours(known, err)
		}
		for _, object := range objects {
			if one, ok := object.(*unstructured.Unstructured); ok {
				world.neighbours.found = append(world.neighbours.found, known.read(one)...)
			}
		}
	}
	return nil
}

// missNeighbours notes a kind that could not be read.
func (w *World) missNeighbours(known neighbourKind, err error) {
	resource := known.plural + "." + known.group
	reason := "listing " + resource + ": " + err.Error()
	if apierrors.IsForbidden(err) {
		reason = "you may not list " + resource
		w.Warnings = append(slices.Clone(w.Warnings), reason+": what they say about TLS is missing here")
	}
	if w.neighbours.unread == nil {
		w.neighbours.unread = map[string]string{}
	}
	w.neighbours.unread[known.controller] = reason
}

// listNeighbours lists a kind in the newest version that is served, nothing
// where none is.
func (c *collector) listNeighbours(ctx context.Context, known neighbourKind) ([]client.Object, error) {
	for _, version := range known.versions {
		objects, err := c.pages(ctx, "", func() client.ObjectList {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(schema.GroupVersionKind{
				Group: known.group, Version: version, Kind: known.kind + "List",
			})
			return list
		})
		if err == nil || !apierrors.IsNotFound(err) {
			return objects, err
		}
	}
	return nil, nil
}

// readNeighbourFiles reads the same from manifests.
func (w *World) readNeighbourFiles() {
	for _, known := range w.obeyed() {
		for _, file := range w.files {
			for _, document := range manifest.Documents(file.Data) {
				content := file.Data[document.Start:document.End]
				if !bytes.Contains(content, []byte(known.kind)) {
					continue
				}
				var object unstructured.Unstructured
				if yaml.Unmarshal(content, &object.Object) != nil || object.GetKind() != known.kind ||
					object.GroupVersionKind().Group != known.group {
					continue // What cannot be read is among the problems of the files.
				}
				if object.GetNamespace() == "" {
					object.SetNamespace("default")
				}
				w.neighbours.found = append(w.neighbours.found, known.read(&object)...)
			}
		}
	}
}

// mapNeighbours lets a client read those kinds.
func mapNeighbours(mapper *meta.DefaultRESTMapper) {
	for _, known := range neighbourKinds() {
		for _, version := range known.versions {
			gv := schema.GroupVersion{Group: known.group, Version: version}
			resource := gv.WithResource(known.plural)
			mapper.AddSpecific(gv.WithKind(known.kind), resource, resource, meta.RESTScopeNamespace)
		}
	}
}

// istioRoot is the namespace whose DestinationRules are everybody's, unless the
// mesh is configured otherwise.
const istioRoot = "istio-system"

// destinationRule reads trafficPolicy.tls and that of each port. Subsets are
// nothing that a route of Gateway API can name.
func destinationRule(object *unstructured.Unstructured) []Neighbour {
	host, _, _ := unstructured.NestedString(object.Object, "spec", "host")
	exports, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "exportTo")
	namespace := object.GetNamespace()
	concerns := func(gateway gwapi.Key, port Port) bool {
		near := namespace == gateway.Namespace || namespace == port.Service.Namespace || namespace == istioRoot
		visible := len(exports) == 0 || slices.Contains(exports, "*") || slices.Contains(exports, gateway.Namespace) ||
			slices.Contains(exports, ".") && namespace == gateway.Namespace
		return near && visible && istioHost(host, namespace, port.Service)
	}
	one := Neighbour{Kind: object.GetKind(), Namespace: namespace, Name: object.GetName()}
	var list []Neighbour
	ports := map[int64]bool{}
	levels, _, _ := unstructured.NestedSlice(object.Object, "spec", "trafficPolicy", "portLevelSettings")
	for _, level := range levels {
		settings, _ := level.(map[string]any)
		number, _, _ := unstructured.NestedFieldNoCopy(settings, "port", "number")
		port := integer(number)
		// Settings of a port replace those of the whole host, tls left out included.
		ports[port] = true
		if tls, found, _ := unstructured.NestedMap(settings, "tls"); found {
			own := one
			own.Setting = fmt.Sprintf("tls.mode %s for port %d", destinationTLS(tls), port)
			own.serves = func(gateway gwapi.Key, at Port) bool {
				return int64(at.Spec.Port) == port && concerns(gateway, at)
			}
			list = append(list, own)
		}
	}
	if tls, found, _ := unstructured.NestedMap(object.Object, "spec", "trafficPolicy", "tls"); found {
		one.Setting = "tls.mode " + destinationTLS(tls)
		one.serves = func(gateway gwapi.Key, at Port) bool { return !ports[int64(at.Spec.Port)] && concerns(gateway, at) }
		list = append(list, one)
	}
	return list
}

// integer is a number as YAML and JSON decode it.
func integer(value any) int64 {
	switch number := value.(type) {
	case int64:
		return number
	case float64:
		return int64(number)
	default:
		return 0
	}
}

// destinationTLS is the mode and what weakens it.
func destinationTLS(tls map[string]any) string {
	mode, _, _ := unstructured.NestedString(tls, "mode")
	if mode == "" {
		mode = "DISABLE" // It is the first of the enumeration, and so the default.
	}
	if skip, _, _ := unstructured.NestedBool(tls, "insecureSkipVerify"); skip {
		mode += ", insecureSkipVerify"
	}
	return mode
}

// istioHost says whether the host of a rule in a namespace means the Service: a
// short name is one of the rule's own namespace, a leading "*" stands for
// anything.
func istioHost(host, namespace string, service gwapi.Key) bool {
	full := service.Name + "." + service.Namespace + ".svc."
	if suffix, wild := strings.CutPrefix(host, "*"); wild {
		return strings.HasSuffix(full+"cluster.local", suffix)
	}
	if !strings.Contains(host, ".") {
		return host == service.Name && namespace == service.Namespace
	}
	return strings.HasPrefix(host, full)
}

// backendConfigPolicy reads spec.tls where the targets are Services. Selectors
// are not followed: a policy that has some may concern every Service of its
// namespace, and says so.
func backendConfigPolicy(object *unstructured.Unstructured) []Neighbour {
	tls, found, _ := unstructured.NestedMap(object.Object, "spec", "tls")
	if !found {
		return nil
	}
	var names []string
	refs, _, _ := unstructured.NestedSlice(object.Object, "spec", "targetRefs")
	for _, each := range refs {
		ref, _ := each.(map[string]any)
		group, _, _ := unstructured.NestedString(ref, "group")
		kind, _, _ := unstructured.NestedString(ref, "kind")
		name, _, _ := unstructured.NestedString(ref, "name")
		if group == "" && kind == string(gwapi.KindService) {
			names = append(names, name)
		}
	}
	selectors, _, _ := unstructured.NestedSlice(object.Object, "spec", "targetSelectors")
	one := Neighbour{
		Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName(), Setting: "spec.tls",
	}
	if skip, _, _ := unstructured.NestedBool(tls, "insecureSkipVerify"); skip {
		one.Setting = "tls.insecureSkipVerify"
	}
	if len(selectors) > 0 {
		one.Setting += ", by targetSelectors"
	}
	one.serves = func(_ gwapi.Key, port Port) bool {
		return port.Service.Namespace == one.Namespace &&
			(len(selectors) > 0 || slices.Contains(names, port.Service.Name))
	}
	return []Neighbour{one}
}

// RouteConditions are what the controller of a path wrote in the status of its
// route about its Gateway.
func (w *World) RouteConditions(path model.Path) []metav1.Condition {
	who := w.ControllerOf(path)
	for _, parent := range w.parents(path.Route) {
		key, known := gwapi.ParentKey(&parent.ParentRef, path.Route.Namespace)
		section := parent.ParentRef.SectionName
		if known && key == path.Gateway && string(parent.ControllerName) == who &&
			(section == nil || string(*section) == path.Listener) {
			return parent.Conditions
		}
	}
	return nil
}

// withoutOptions is the policy as implementations read it that know none of our
// options, without its status.
func withoutOptions(policy *gatewayv1.BackendTLSPolicy) *gatewayv1.BackendTLSPolicy {
	portable := policy.DeepCopy()
	portable.Spec.Options = nil
	portable.Status = gatewayv1.PolicyStatus{}
	return portable
}

// judgeElsewhere fills in what the standard fields of the policies come to, where
// a Gateway of another controller leads to a Service.
func (w *World) judgeElsewhere() {
	others := func(path model.Path) bool {
		who := w.ControllerOf(path)
		return who != "" && who != gwapi.ControllerName
	}
	if !slices.ContainsFunc(w.Result.Paths, others) {
		return
	}
	for _, path := range w.supposing(withoutOptions) {
		if port := w.find(path); port != nil {
			port.Elsewhere = path
		}
	}
}
