package watch_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

func TestASnapshotHasEveryKind(t *testing.T) {
	server := apitest.New(t)
	in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "web", Name: name} }
	server.Put(
		&gatewayv1.GatewayClass{Name: "o"}, gateway("o"),
		&gatewayv1.ListenerSet{ObjectMeta: in("o")}, &gatewayv1.HTTPRoute{ObjectMeta: in("o")},
		&gatewayv1.GRPCRoute{ObjectMeta: in("o")}, &gatewayv1.TLSRoute{ObjectMeta: in("o")},
		&gatewayv1.TCPRoute{ObjectMeta: in("o")}, &gatewayv1.ReferenceGrant{ObjectMeta: in("o")},
		&gatewayv1.BackendTLSPolicy{ObjectMeta: in("o")}, &v1alpha1.GatewayParameters{ObjectMeta: in("o")},
		service("o", 443), &corev1.Namespace{Name: "web"},
		secret("o", "x"), configMap("o", "x"), slice("o", "o", "192.0.2.1"),
	)
	w := opened(t, server)
	if told := w.slices.names("o"); !slices.Equal(told, []string{"o"}) {
		t.Errorf("slices are %v before the first snapshot", told)
	}
	snap := w.source.Snapshot()
	for kind, n := range map[string]int{
		"GatewayClass": snap.GatewayClasses.Len(), "Gateway": snap.Gateways.Len(),
		"ListenerSet": snap.ListenerSets.Len(), "HTTPRoute": snap.HTTPRoutes.Len(),
		"GRPCRoute": snap.GRPCRoutes.Len(), "TLSRoute": snap.TLSRoutes.Len(), "TCPRoute": snap.TCPRoutes.Len(),
		"ReferenceGrant": snap.ReferenceGrants.Len(), "BackendTLSPolicy": snap.TLSPolicies.Len(),
		"GatewayParameters": snap.Parameters.Len(), "Service": snap.Services.Len(), "Namespace": snap.Namespaces.Len(),
	} {
		if n != 1 {
			t.Errorf("%d objects of kind %s", n, kind)
		}
	}
	if snap.Secrets.Len()+snap.ConfigMaps.Len() != 0 {
		t.Error("contents were read that nobody named")
	}
	if len(snap.Bundles) != 9 || snap.Bundles["gateways.gateway.networking.k8s.io"] != apitest.BundleVersion {
		t.Errorf("bundles are %v", snap.Bundles)
	}
	if snap != w.source.Snapshot() {
		t.Error("without an event, another snapshot")
	}
}

func TestASnapshotStaysAsItWas(t *testing.T) {
	server := apitest.New(t)
	server.Put(gateway("a"))
	w := opened(t, server)
	before := w.source.Snapshot()
	server.Put(gateway("b"))
	w.awaitChange()
	server.Delete(gateway("a"))
	w.until("a is gone", func(snap *snapshot.Snapshot) bool { return snap.Gateways.Len() == 1 })
	if names := before.Gateways.Sorted(); len(names) != 1 || names[0].Name != "a" {
		t.Errorf("an old snapshot now has %v", names)
	}
}

// TestChanges: each row is what happens to one object, and whether a build has
// to happen after it.
func TestChanges(t *testing.T) {
	policy := func(change func(*gatewayv1.BackendTLSPolicy)) *gatewayv1.BackendTLSPolicy {
		p := &gatewayv1.BackendTLSPolicy{Namespace: "web", Name: "p"}
		p.Status.Ancestors = []gatewayv1.PolicyAncestorStatus{
			{ControllerName: gwapi.ControllerName, Conditions: []metav1.Condition{{Type: "Accepted", Status: "True"}}},
		}
		if change != nil {
			change(p)
		}
		return p
	}
	condition := func(kind string, status metav1.ConditionStatus, reason string) func(*gatewayv1.BackendTLSPolicy) {
		return func(p *gatewayv1.BackendTLSPolicy) {
			p.Status.Ancestors[0].Conditions = append(p.Status.Ancestors[0].Conditions,
				metav1.Condition{Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.Unix(1, 0)})
		}
	}
	degraded := condition(report.PolicySecurityDegraded, "True", "SkipVerify")
	labelled := gateway("g")
	labelled.Labels = map[string]string{"a": "b"}
	annotated := gateway("g")
	annotated.Annotations = map[string]string{"a": "b"}
	edited := gateway("g")
	edited.Spec.GatewayClassName = "other"
	told := gateway("g")
	told.Status.Conditions = []metav1.Condition{{Type: "Programmed", Status: "True"}}
	namespace := func(labels map[string]string, phase corev1.NamespacePhase) *corev1.Namespace {
		n := &corev1.Namespace{Name: "web", Labels: labels}
		n.Status.Phase = phase
		return n
	}
	balanced := service("known", 443)
	balanced.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}

	for sentence, c := range map[string]struct {
		was, now client.Object
		counts   bool
	}{
		"a Gateway appears":                  {nil, gateway("g"), true},
		"a Gateway goes":                     {gateway("g"), nil, true},
		"a spec is edited":                   {gateway("g"), edited, true},
		"a label is set":                     {gateway("g"), labelled, true},
		"an annotation is set":               {gateway("g"), annotated, false},
		"our status of a Gateway is written": {gateway("g"), told, false},
		"a namespace gets a label":           {namespace(nil, ""), namespace(map[string]string{"a": "b"}, ""), true},
		"a namespace gets a status":          {namespace(nil, ""), namespace(nil, "Active"), false},
		"our status of a policy is written":  {policy(nil), policy(condition("ResolvedRefs", "True", "x")), false},
		"our status says SecurityDegraded":   {policy(nil), policy(degraded), true},
		"our status says that it is not":     {policy(degraded), policy(condition(report.PolicySecurityDegraded, "False", "Strict")), true},
		"our status names another mode":      {policy(degraded), policy(condition(report.PolicySecurityDegraded, "True", "PinOnly")), true},
		"of SecurityDegraded the message is new": {policy(degraded), policy(func(p *gatewayv1.BackendTLSPolicy) {
			degraded(p)
			p.Status.Ancestors[0].Conditions[1].Message = "until tomorrow"
			p.Status.Ancestors[0].Conditions[1].LastTransitionTime = metav1.Unix(2, 0)
		}), false},
		"another controller takes a slot of a policy": {policy(nil), policy(func(p *gatewayv1.BackendTLSPolicy) {
			p.Status.Ancestors = append(p.Status.Ancestors, gatewayv1.PolicyAncestorStatus{ControllerName: "x.example/y"})
		}), true},
		"a named Service changes a port":     {service("known", 443), service("known", 8443), true},
		"a named Service gets an address":    {service("known", 443), balanced, false},
		"a named Service appears":            {nil, service("known", 443), true},
		"a named Service goes":               {service("known", 443), nil, true},
		"another Service changes a port":     {service("other", 443), service("other", 8443), false},
		"another Service appears":            {nil, service("other", 443), false},
		"an EndpointSlice of it changes":     {slice("s", "known", "192.0.2.1"), slice("s", "known", "192.0.2.2"), false},
		"a Secret that nobody named changes": {secret("s", "a"), secret("s", "b"), false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			server := apitest.New(t)
			if c.was != nil {
				server.Put(c.was)
			}
			w := opened(t, server)
			w.need(serviceKey("known"))
			if c.now != nil {
				server.Put(c.now)
			} else {
				server.Delete(c.was)
			}
			if c.counts {
				w.awaitChange()
			} else {
				w.noChange()
			}
		})
	}
}

func TestAStatusThatCountsForNothingIsInTheNextSnapshot(t *testing.T) {
	server := apitest.New(t)
	server.Put(gateway("g"))
	w := opened(t, server)
	told := gateway("g")
	told.Status.Conditions = []metav1.Condition{{Type: "Programmed", Status: "True"}}
	server.Put(told)
	w.until("the status is there", func(snap *snapshot.Snapshot) bool {
		g, _ := snap.Gateways.Get(types.NamespacedName{Namespace: "web", Name: "g"})
		return len(g.Status.Conditions) == 1
	})
}

func TestAnObjectThatWasReplacedIsAChange(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(gateway("g"))
	w := opened(t, server)
	server.SetAway(true)
	server.Delete(gateway("g"))
	server.Put(gateway("g"))
	server.Expire()
	server.SetAway(false)
	w.awaitChange()
}

func TestAServiceThatIsNamedAfterItChangedIsAChange(t *testing.T) {
	w := opened(t, apitest.New(t))
	w.need()
	w.server.Put(service("late", 443))
	w.until("it is known", func(snap *snapshot.Snapshot) bool { return snap.Services.Len() == 1 })
	w.noChange()
	w.need(serviceKey("late"))
	w.awaitChange()
	w.need(serviceKey("late"))
	w.noChange()
}

func TestSoManyServicesThatNobodyNamedAreAChangeAndThenForgotten(t *testing.T) {
	w := opened(t, apitest.New(t))
	w.source.Narrow(3)
	w.need()
	for range 2 {
		w.server.Put(service("a", 443), service("b", 443))
		w.noChange()
		w.server.Put(service("c", 443))
		w.awaitChange()
		w.noChange()
		w.server.Delete(service("a", 0))
		w.server.Delete(service("b", 0))
		w.noChange()
		w.server.Delete(service("c", 0))
		w.awaitChange()
	}
}

func TestWatchesThatAreCutGoOn(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(gateway("first"), slice("s", "api", "192.0.2.1"))
	w := opened(t, server)
	for i := range 2 { // Each is waited for twice as long as the one before.
		server.CutWatches()
		server.Put(gateway("cut-" + string(rune('a'+i))))
		w.awaitChange()
	}
	w.until("all are there", func(snap *snapshot.Snapshot) bool { return snap.Gateways.Len() == 3 })
}

func TestWhileTheServerIsAwayEverythingStaysAndThenGoesOn(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(gateway("a"), gateway("b"), secret("s", "old"), slice("s", "api", "192.0.2.1"))
	w := opened(t, server)
	w.needed(secretKey("s"))
	before := w.source.Snapshot()
	server.SetAway(true)
	server.Delete(gateway("a"))
	server.Put(gateway("c"), secret("s", "new"), slice("s", "api", "192.0.2.9"))
	server.Expire()
	w.noChange()
	if w.source.Snapshot() != before {
		t.Error("the snapshot did not stay")
	}
	server.SetAway(false)
	w.until("it is as the server says", func(snap *snapshot.Snapshot) bool {
		_, a := snap.Gateways.Get(types.NamespacedName{Namespace: "web", Name: "a"})
		return !a && snap.Gateways.Len() == 2 && certificate(snap, "s") == "new"
	})
	eventually(t, "the slices too", func() bool {
		w.slices.mu.Lock()
		defer w.slices.mu.Unlock()
		list := w.slices.last[types.NamespacedName{Namespace: "web", Name: "api"}]
		return len(list) == 1 && list[0].Endpoints[0].Addresses[0] == "192.0.2.9"
	})
	w.needed(secretKey("s"))
}
