package resolve_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// TestPropertiesOfBuild checks on every case what must hold for any input.
func TestPropertiesOfBuild(t *testing.T) {
	for _, path := range caseFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, snap := readCase(t, path)
			snap.Observed.Envoys = c.observed(t, resolve.Build(snap).Gateways)
			checkProperties(t, snap)
		})
	}
}

func checkProperties(t *testing.T, snap *snapshot.Snapshot) {
	t.Helper()
	first := resolve.Build(snap)
	if again := resolve.Build(copied(snap)); !reflect.DeepEqual(first, again) {
		t.Error("the same objects in another order give another result")
	}
	checkGrants(t, snap, first)
	checkNamed(t, snap, first)
	checkIrrelevant(t, snap, first)
	checkObservations(t, snap, first)
	checkStatuses(t, snap, first)
	checkModels(t, first)
}

// copied is a snapshot of the same objects, in maps of their own that were
// filled in the opposite order.
func copied(snap *snapshot.Snapshot) *snapshot.Snapshot {
	c := *snap
	c.GatewayClasses, c.Gateways = reversed(snap.GatewayClasses), reversed(snap.Gateways)
	c.ListenerSets, c.HTTPRoutes = reversed(snap.ListenerSets), reversed(snap.HTTPRoutes)
	c.GRPCRoutes, c.TLSRoutes = reversed(snap.GRPCRoutes), reversed(snap.TLSRoutes)
	c.TCPRoutes, c.TLSPolicies = reversed(snap.TCPRoutes), reversed(snap.TLSPolicies)
	c.ReferenceGrants, c.Parameters = reversed(snap.ReferenceGrants), reversed(snap.Parameters)
	c.Services, c.Secrets = reversed(snap.Services), reversed(snap.Secrets)
	c.ConfigMaps, c.Namespaces = reversed(snap.ConfigMaps), reversed(snap.Namespaces)
	return &c
}

func reversed[T metav1.Object](objects snapshot.Objects[T]) snapshot.Objects[T] {
	sorted := objects.Sorted()
	slices.Reverse(sorted)
	return snapshot.NewObjects(sorted...)
}

// checkGrants: whatever crosses a namespace is permitted by a usable grant.
func checkGrants(t *testing.T, snap *snapshot.Snapshot, result resolve.Result) {
	t.Helper()
	var grants []*gatewayv1.ReferenceGrant
	for _, grant := range snap.ReferenceGrants.Sorted() {
		if _, broken := snap.Faults[gwapi.KeyOf(gwapi.KindReferenceGrant, grant.Namespace, grant.Name)]; !broken {
			grants = append(grants, grant)
		}
	}
	for key, gateway := range result.Gateways {
		services := map[string]gwapi.Key{}
		for _, backend := range gateway.Backends {
			services[backend.Name()] = backend.Service
		}
		forEachRule(gateway, func(server model.Server, rule model.Rule) {
			for _, pair := range server.Certificates {
				if !gwapi.Allowed(grants, key, pair.Secret) {
					t.Errorf("%s presents %s without a grant", key, pair.Secret)
				}
			}
			for _, share := range rule.Split {
				if share.Backend != "" && !gwapi.Allowed(grants, rule.Route, services[share.Backend]) {
					t.Errorf("%s leads to %s without a grant", rule.Route, services[share.Backend])
				}
			}
		})
	}
}

func forEachRule(gateway model.Gateway, visit func(model.Server, model.Rule)) {
	for _, listener := range gateway.Listeners {
		for _, server := range listener.Servers {
			for _, host := range server.Hosts {
				for _, rule := range host.Rules {
					visit(server, rule)
				}
			}
		}
	}
}

// checkNamed: every Service and Secret that one of our Gateways, or a route on
// it, names is in Refs, existing or missing; but a Secret only where the Gateway
// may refer to it, because what is in Refs is read.
func checkNamed(t *testing.T, snap *snapshot.Snapshot, result resolve.Result) {
	t.Helper()
	need := func(gateway, object gwapi.Key) {
		if !slices.Contains(result.Refs[object], gateway) {
			t.Errorf("%s names %s, which is not in Refs", gateway, object)
		}
	}
	grants := snap.ReferenceGrants.Sorted()
	for key := range result.Gateways {
		object, _ := snap.Gateways.Get(key.NamespacedName())
		for _, listener := range object.Spec.Listeners {
			if listener.TLS == nil || listener.TLS.Mode != nil && *listener.TLS.Mode == gatewayv1.TLSModePassthrough {
				continue
			}
			for _, ref := range listener.TLS.CertificateRefs {
				if ref.Kind == nil || *ref.Kind == "Secret" {
					namespace := key.Namespace
					if ref.Namespace != nil {
						namespace = string(*ref.Namespace)
					}
					secret := gwapi.KeyOf(gwapi.KindSecret, namespace, string(ref.Name))
					if !gwapi.Allowed(grants, key, secret) {
						if slices.Contains(result.Refs[secret], key) {
							t.Errorf("%s may not refer to %s, which is in Refs", key, secret)
						}
						continue
					}
					need(key, secret)
				}
			}
		}
	}
	for _, route := range snap.HTTPRoutes.Sorted() {
		for i := range route.Spec.ParentRefs {
			gateway, ok := gwapi.ParentKey(&route.Spec.ParentRefs[i], route.Namespace)
			if _, ours := result.Gateways[gateway]; !ok || !ours {
				continue
			}
			for _, rule := range route.Spec.Rules {
				for _, ref := range rule.BackendRefs {
					if !gwapi.KindService.Is(ref.Group, ref.Kind, "", gwapi.KindService) {
						continue
					}
					namespace := route.Namespace
					if ref.Namespace != nil && *ref.Namespace != "" {
						namespace = string(*ref.Namespace)
					}
					need(gateway, gwapi.KeyOf(gwapi.KindService, namespace, string(ref.Name)))
				}
			}
		}
	}
}

// checkIrrelevant: an object that is not in Refs may as well not be there.
// That is what the relevance filter relies on.
func checkIrrelevant(t *testing.T, snap *snapshot.Snapshot, result resolve.Result) {
	t.Helper()
	without := *snap
	for _, o := range snap.Services.Sorted() {
		if _, named := result.Refs[gwapi.KeyOf(gwapi.KindService, o.Namespace, o.Name)]; !named {
			without.Services = without.Services.Without(gwapi.KeyOf("", o.Namespace, o.Name).NamespacedName())
		}
	}
	for _, o := range snap.Secrets.Sorted() {
		if _, named := result.Refs[gwapi.KeyOf(gwapi.KindSecret, o.Namespace, o.Name)]; !named {
			without.Secrets = without.Secrets.Without(gwapi.KeyOf("", o.Namespace, o.Name).NamespacedName())
		}
	}
	for _, o := range snap.ConfigMaps.Sorted() {
		if _, named := result.Refs[gwapi.KeyOf(gwapi.KindConfigMap, o.Namespace, o.Name)]; !named {
			without.ConfigMaps = without.ConfigMaps.Without(gwapi.KeyOf("", o.Namespace, o.Name).NamespacedName())
		}
	}
	after := resolve.Build(&without)
	// Paths of other controllers lead to Services that no Gateway of ours needs.
	ours := func(path model.Path) bool { return !path.Ours }
	result.Paths = slices.DeleteFunc(slices.Clone(result.Paths), ours)
	after.Paths = slices.DeleteFunc(after.Paths, ours)
	if !reflect.DeepEqual(result, after) {
		t.Error("removing objects that nobody names changed the result")
	}
}

// checkObservations: what was seen of the data plane changes no configuration.
func checkObservations(t *testing.T, snap *snapshot.Snapshot, result resolve.Result) {
	t.Helper()
	blind := *snap
	blind.Observed = snapshot.Observed{}
	if !reflect.DeepEqual(resolve.Build(&blind).Gateways, result.Gateways) {
		t.Error("observations changed the configuration")
	}
}

// checkStatuses: writing the statuses changes no configuration, and a second
// round writes the same.
func checkStatuses(t *testing.T, snap *snapshot.Snapshot, result resolve.Result) {
	t.Helper()
	written := *snap
	written.GatewayClasses = applied(written.GatewayClasses, gwapi.KindGatewayClass, result.Reports)
	written.Gateways = applied(written.Gateways, gwapi.KindGateway, result.Reports)
	written.HTTPRoutes = applied(written.HTTPRoutes, gwapi.KindHTTPRoute, result.Reports)
	second := resolve.Build(&written)
	if !reflect.DeepEqual(second.Gateways, result.Gateways) {
		t.Error("writing the statuses changed the configuration")
	}
	for _, object := range written.HTTPRoutes.Sorted() {
		key := gwapi.KeyOf(gwapi.KindHTTPRoute, object.Namespace, object.Name)
		live, _ := report.Of(object)
		desired, found := second.Reports[key]
		if !found {
			continue
		}
		if merged := report.Merge(key, live, desired, buildTime.Add(time.Hour)); !reflect.DeepEqual(merged.Parents, live.Parents) {
			t.Errorf("%s: written again, its status changes", key)
		}
	}
}

// applied are the objects with the reports merged into their statuses.
func applied[T interface {
	metav1.Object
	DeepCopy() T
}](objects snapshot.Objects[T], kind gwapi.Kind, set report.Set) snapshot.Objects[T] {
	for _, object := range objects.Sorted() {
		key := gwapi.KeyOf(kind, object.GetNamespace(), object.GetName())
		desired, found := set[key]
		if !found {
			continue
		}
		updated := object.DeepCopy()
		live, _ := report.Of(updated)
		report.Apply(report.Merge(key, live, desired, buildTime), updated)
		objects = objects.With(updated)
	}
	return objects
}

// checkModels: models are sorted, refer to what they have, and each condition
// could be written.
func checkModels(t *testing.T, result resolve.Result) {
	t.Helper()
	for key, gateway := range result.Gateways {
		names := []string{""}
		for _, backend := range gateway.Backends {
			names = append(names, backend.Name())
		}
		if !slices.IsSorted(names) {
			t.Errorf("%s: backends are not sorted", key)
		}
		if gateway.Digest == "" || gateway.Shares[key] == "" {
			t.Errorf("%s has no digest or no share of its own", key)
		}
		forEachRule(gateway, func(_ model.Server, rule model.Rule) {
			if gateway.Shares[rule.Route] == "" {
				t.Errorf("%s: %s has no share", key, rule.Route)
			}
			for _, share := range rule.Split {
				if !slices.Contains(names, share.Backend) {
					t.Errorf("%s: %s leads to %s, which the Gateway does not have", key, rule.Route, share.Backend)
				}
			}
		})
	}
	for key, entry := range result.Reports {
		conditions := slices.Clone(entry.Conditions)
		for _, listener := range entry.Listeners {
			conditions = append(conditions, listener.Conditions...)
		}
		for _, parent := range entry.Parents {
			conditions = append(conditions, parent.Conditions...)
		}
		for _, c := range conditions {
			if c.Type == "" || c.Reason == "" || c.Status == "" || len(c.Message) > 32768 ||
				c.ObservedGeneration != entry.Generation || strings.Contains(c.Message, "%!") {
				t.Errorf("%s: condition %+v", key, c)
			}
		}
	}
}

// TestEnvoyTakesEveryModel: what a status calls accepted is not left out when
// it is written in Envoy's words.
func TestEnvoyTakesEveryModel(t *testing.T) {
	for _, path := range caseFiles(t) {
		_, snap := readCase(t, path)
		for key, gateway := range resolve.Build(snap).Gateways {
			_, faults := envoy.Translate(gateway)
			for _, fault := range faults {
				t.Errorf("%s: %s: %s", filepath.Base(path), key, fault)
			}
		}
	}
}

// TestDigestsSeeEveryChange: each edit changes the digest of the Gateway, and
// the share of the object that was edited, and no other one.
func TestDigestsSeeEveryChange(t *testing.T) {
	web := gwapi.KeyOf(gwapi.KindGateway, "default", "web")
	older := gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "older")
	other := gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "other")
	edit := func(change func(*gatewayv1.HTTPRoute)) func(*snapshot.Snapshot) {
		return func(snap *snapshot.Snapshot) {
			route, _ := snap.HTTPRoutes.Get(older.NamespacedName())
			route = route.DeepCopy()
			change(route)
			snap.HTTPRoutes = snap.HTTPRoutes.With(route)
		}
	}
	for sentence, c := range map[string]struct {
		edit func(*snapshot.Snapshot)
		// changes are the shares that change.
		changes []gwapi.Key
	}{
		"a weight": {edit(func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules[0].BackendRefs[0].Weight = new(int32(7))
		}), []gwapi.Key{older}},
		"a filter": {edit(func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules[0].Filters = []gatewayv1.HTTPRouteFilter{{
				Type:                  gatewayv1.HTTPRouteFilterRequestHeaderModifier,
				RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Remove: []string{"x"}},
			}}
		}), []gwapi.Key{older}},
		"a match": {edit(func(r *gatewayv1.HTTPRoute) {
			r.Spec.Rules[0].Matches[0].Method = new(gatewayv1.HTTPMethodGet)
		}), []gwapi.Key{older}},
		"a hostname":            {edit(func(r *gatewayv1.HTTPRoute) { r.Spec.Hostnames = []gatewayv1.Hostname{"x.example.com"} }), []gwapi.Key{older}},
		"the order by age only": {edit(func(r *gatewayv1.HTTPRoute) { r.CreationTimestamp = metav1.NewTime(buildTime) }), nil},
		"the Gateway's port": {func(snap *snapshot.Snapshot) {
			gateway, _ := snap.Gateways.Get(web.NamespacedName())
			gateway = gateway.DeepCopy()
			gateway.Spec.Listeners[0].Port = 8099
			snap.Gateways = snap.Gateways.With(gateway)
		}, []gwapi.Key{web, older, other, gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "all")}},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, snap := readCase(t, filepath.Join("testdata", "gateway", "matches.yaml"))
			before := resolve.Build(snap).Gateways[web]
			c.edit(snap)
			after := resolve.Build(snap).Gateways[web]
			if before.Digest == after.Digest {
				t.Error("the digest of the Gateway is the same")
			}
			for key := range before.Shares {
				if changed := before.Shares[key] != after.Shares[key]; changed != slices.Contains(c.changes, key) {
					t.Errorf("the share of %s changed: %v", key, changed)
				}
			}
		})
	}
}
