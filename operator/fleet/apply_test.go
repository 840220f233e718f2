package fleet

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/apitest"
)

// all are the objects of web's fleet, in the order in which they are applied.
var all = []string{
	"serviceaccounts/shop/backendtls-web", "configmaps/shop/backendtls-web", "networkpolicies/shop/backendtls-web",
	"poddisruptionbudgets/shop/backendtls-web", "services/shop/backendtls-web", "deployments/shop/backendtls-web",
}

func TestAGatewayGetsItsFleetOnceAndIsThenLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	if diff := cmp.Diff(all, h.writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	for _, request := range h.server.Writes() {
		if request.FieldManager != OperatorName || request.PatchType != types.ApplyPatchType || request.Force {
			t.Errorf("%s %s by %q, %s, forced %v: want a first application that takes nothing over",
				request.Verb, request.Resource, request.FieldManager, request.PatchType, request.Force)
		}
	}
	h.server.Forget()
	h.fleet.Poke()
	h.put(web())
	change(h, named(&appsv1.Deployment{}).(*appsv1.Deployment), func(d *appsv1.Deployment) {
		d.Status.ReadyReplicas, d.Annotations = 1, map[string]string{revisionAnnotation: "1"}
	})
	change(h, named(&policyv1.PodDisruptionBudget{}).(*policyv1.PodDisruptionBudget), func(p *policyv1.PodDisruptionBudget) {
		p.Status.DisruptionsAllowed = 1
	})
	change(h, named(&corev1.Service{}).(*corev1.Service), func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	})
	h.quiet()
	if got := h.writes(); len(got) > 0 {
		t.Errorf("written without need: %v", got)
	}
}

func TestWhatSomebodyEditsOrDeletesComesBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	for name, c := range map[string]struct {
		object client.Object
		edit   func()
	}{
		"a Deployment": {&appsv1.Deployment{}, func() {
			change(h, named(&appsv1.Deployment{}).(*appsv1.Deployment), func(d *appsv1.Deployment) {
				d.Spec.Template.Spec.Containers[0].Image = "evil"
			})
		}},
		"a Service": {&corev1.Service{}, func() {
			change(h, named(&corev1.Service{}).(*corev1.Service), func(s *corev1.Service) { s.Spec.Ports[0].TargetPort.IntVal = 1 })
		}},
		"a ConfigMap": {&corev1.ConfigMap{}, func() {
			change(h, named(&corev1.ConfigMap{}).(*corev1.ConfigMap), func(c *corev1.ConfigMap) { c.Data[trustFile] = "{}" })
		}},
		"a ServiceAccount": {&corev1.ServiceAccount{}, func() {
			change(h, named(&corev1.ServiceAccount{}).(*corev1.ServiceAccount), func(a *corev1.ServiceAccount) {
				a.AutomountServiceAccountToken = new(true)
			})
		}},
		"a NetworkPolicy": {&networkingv1.NetworkPolicy{}, func() {
			change(h, named(&networkingv1.NetworkPolicy{}).(*networkingv1.NetworkPolicy), func(p *networkingv1.NetworkPolicy) {
				p.Spec.Ingress = nil
			})
		}},
		"a PodDisruptionBudget": {&policyv1.PodDisruptionBudget{}, func() {
			h.server.Delete(named(&policyv1.PodDisruptionBudget{}))
		}},
		"labels": {&appsv1.Deployment{}, func() {
			change(h, named(&appsv1.Deployment{}).(*appsv1.Deployment), func(d *appsv1.Deployment) { d.Labels = nil })
		}},
		"an owner": {&corev1.Service{}, func() {
			change(h, named(&corev1.Service{}).(*corev1.Service), func(s *corev1.Service) { s.OwnerReferences = nil })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want := content(t, h, c.object)
			c.edit()
			h.eventually("it is as it was", func() bool { return cmp.Equal(want, content(t, h, c.object)) })
		})
	}
	if faults := h.fleet.Faults(); len(faults) > 0 {
		t.Errorf("faults %v", faults)
	}
}

// content is an object without what the server counts.
func content(t *testing.T, h *harness, object client.Object) map[string]any {
	t.Helper()
	found := named(object.DeepCopyObject().(client.Object))
	if !h.server.Get(found) {
		return nil
	}
	for _, forget := range []func(string){found.SetResourceVersion, func(string) { found.SetUID("") }} {
		forget("")
	}
	found.SetGeneration(0)
	found.SetCreationTimestamp(metav1.Time{})
	found.SetManagedFields(nil)
	converted, err := unstructuredOf(found)
	if err != nil {
		t.Fatal(err)
	}
	return converted.Object
}

func TestOnlyTheLeaderWritesAndTheNextOneGoesOn(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	leader, follower := newHarness(t, server), newHarness(t, server)
	follower.leading.Store(false)
	leader.leading.Store(false)
	leader.put(web())
	follower.put(web())
	leader.quiet()
	if got := leader.writes(); len(got) > 0 {
		t.Fatalf("written without leading: %v", got)
	}
	leader.leading.Store(true)
	leader.fleet.Poke()
	leader.applied()
	leader.leading.Store(false)
	server.Delete(named(&corev1.Service{}))
	leader.quiet()
	if server.Get(named(&corev1.Service{})) {
		t.Fatal("written without leading")
	}
	follower.leading.Store(true)
	follower.fleet.Poke()
	follower.eventually("the next leader applies", func() bool { return server.Get(named(&corev1.Service{})) })
}

func TestNothingIsWrittenBeforeTheAuthorityIsKnownAndItsRotationReachesTheConfigMapAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.authority.Store(new([]byte(nil)))
	h.put(web())
	h.quiet()
	if got := h.writes(); len(got) > 0 {
		t.Fatalf("written without an authority: %v", got)
	}
	h.authority.Store(new([]byte(certificate)))
	h.fleet.Poke()
	h.applied()
	h.server.Forget()
	h.authority.Store(new([]byte(certificate + certificate)))
	h.fleet.Poke()
	h.eventually("the ConfigMap is written", func() bool { return len(h.writes()) > 0 })
	h.quiet()
	if diff := cmp.Diff(all[1:2], h.writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestAForeignObjectIsLeftAloneAndSaid(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	foreign := map[string]client.Object{
		"Service/shop/backendtls-web exists and was not made by this operator": &corev1.Service{
			Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1"},
		},
		"service/shop/backendtls-web exists and is controlled by Shop other": &corev1.Service{
			Labels:          map[string]string{LabelName: EnvoyName, LabelManagedBy: OperatorName, LabelGateway: "web"},
			OwnerReferences: []metav1.OwnerReference{controlledBy("1", "example.com/v1", "Shop", "other")},
		},
		"service/shop/backendtls-web exists and is controlled by Gateway other": &corev1.Service{
			OwnerReferences: []metav1.OwnerReference{controlledBy("1", "gateway.networking.k8s.io/v1", "Gateway", "other")},
		},
	}
	for _, fault := range slices.Sorted(maps.Keys(foreign)) {
		t.Run(fault, func(t *testing.T) {
			server.Put(named(foreign[fault]))
			before := &corev1.Service{}
			server.Get(named(before))
			h := newHarness(t, server)
			h.put(web())
			h.eventually("it is said", func() bool {
				return strings.EqualFold(strings.SplitN(h.fleet.Faults()[webKey], ";", 2)[0], fault)
			})
			after := &corev1.Service{}
			if server.Get(named(after)); !cmp.Equal(before, after) || h.deployment() != nil {
				t.Errorf("it was touched, or Envoys were started:\n%s", cmp.Diff(before, after))
			}
			<-h.fleet.Changes()
			server.Delete(named(&corev1.Service{}))
			h.applied()
			if faults := h.fleet.Faults(); len(faults) > 0 || !strings.Contains(h.log.String(), "as they should be again") {
				t.Errorf("faults %v", faults)
			}
			h.put() // First, or what is deleted comes back.
			for _, object := range []client.Object{&appsv1.Deployment{}, &corev1.Service{}} {
				server.Delete(named(object))
			}
		})
	}
}

func TestTheFleetOfAnEarlierGatewayOfThatNameIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	h.put(web(func(g *model.Gateway) { g.Fleet.Owner = "0001-web" }))
	h.eventually("it is tried again", func() bool { return strings.Contains(h.log.String(), "being removed") })
	if faults := h.fleet.Faults(); len(faults) > 0 || h.deployment().OwnerReferences[0].UID != "0000-web" {
		t.Errorf("faults %v, owner %s", faults, h.deployment().OwnerReferences[0].UID)
	}
	// The garbage collector does its work.
	for _, object := range []client.Object{
		&corev1.ServiceAccount{}, &corev1.ConfigMap{}, &networkingv1.NetworkPolicy{}, &policyv1.PodDisruptionBudget{},
		&corev1.Service{}, &appsv1.Deployment{},
	} {
		h.server.Delete(named(object))
	}
	h.eventually("the new Gateway has its fleet", func() bool {
		d := h.deployment()
		return d != nil && d.OwnerReferences[0].UID == "0001-web"
	})
}

func TestAnUnresolvedGatewayKeepsWhatItHasButForTheAuthority(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	unresolved := func(g *model.Gateway) { g.Unresolved = true }
	h.put(web(unresolved))
	h.quiet()
	if got := h.writes(); len(got) > 0 {
		t.Fatalf("an unresolved Gateway got %v", got)
	}
	h.put(web(shaped))
	h.applied()
	config := content(t, h, &corev1.ConfigMap{})
	h.server.Forget()
	// The loop does not even know its class while it cannot be built.
	h.put(model.Gateway{Key: webKey, Unresolved: true})
	h.quiet()
	if got := h.writes(); len(got) > 0 {
		t.Fatalf("written while unresolved: %v", got)
	}
	h.authority.Store(new([]byte(certificate + certificate)))
	h.fleet.Poke()
	h.eventually("the ConfigMap is written", func() bool { return len(h.writes()) > 0 })
	h.quiet()
	if diff := cmp.Diff(all[1:2], h.writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	held := content(t, h, &corev1.ConfigMap{})
	if cmp.Equal(config, held) {
		t.Error("the authority is not in it")
	}
	delete(config["data"].(map[string]any), trustFile)
	delete(held["data"].(map[string]any), trustFile)
	if diff := cmp.Diff(config, held); diff != "" {
		t.Errorf("more than the authority changed:\n%s", diff)
	}
}

func TestAGatewayWithoutListenersStartsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web(func(g *model.Gateway) { g.Listeners = nil }))
	h.quiet()
	if got := h.writes(); len(got) > 0 {
		t.Errorf("it got %v", got)
	}
}

func TestAConfigMapThatOnlyLooksLikeOursIsNotHeld(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]map[string]string{
		"nothing in it":        nil,
		"something else in it": {"index.html": "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, apitest.New(t))
			h.server.Put(named(&corev1.ConfigMap{
				Labels: map[string]string{LabelName: EnvoyName, LabelManagedBy: OperatorName}, Data: data,
			}))
			h.put(web(func(g *model.Gateway) { g.Listeners = nil }))
			h.quiet()
			if got := h.writes(); len(got) > 0 {
				t.Errorf("written: %v", got)
			}
		})
	}
}

func TestAPanicOverAGatewayIsItsFaultAndNotTheEndOfTheOperator(t *testing.T) {
	t.Parallel()
	f := New(Config{
		Authority: func() []byte { panic("boom") }, Leading: func() bool { return true },
		Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(f.queue.ShutDown)
	f.Put(map[gwapi.Key]model.Gateway{webKey: web()})
	if !f.next(t.Context()) {
		t.Fatal("nothing was tried")
	}
	if fault := f.Faults()[webKey]; !strings.Contains(fault, "internal fault") {
		t.Errorf("fault %q", fault)
	}
}

func TestParametersThatCannotBeRenderedLeaveTheDeployment(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	h.server.Forget()
	h.put(web(func(g *model.Gateway) { g.Fleet.PodTemplate = []byte(`{"spec":{"no":"field"}}`) }))
	h.eventually("it is said", func() bool {
		return strings.Contains(h.fleet.Faults()[webKey], "spec.envoy.podTemplate")
	})
	h.quiet()
	if got := h.writes(); len(got) > 0 {
		t.Errorf("written: %v", got)
	}
}

func TestARefusalOfTheAPIServerIsSaidAndTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	refuse := func(answer error) func() {
		return h.server.Hook(func(_ context.Context, r apitest.Request) error {
			if r.Write() && r.Resource == "deployments" {
				return answer
			}
			return nil
		})
	}
	remove := refuse(apierrors.NewInternalError(context.DeadlineExceeded))
	h.put(web())
	h.eventually("it is tried again", func() bool { return strings.Count(h.log.String(), "are tried again") > 2 })
	if faults := h.fleet.Faults(); len(faults) > 0 {
		t.Errorf("trouble is a fault: %v", faults)
	}
	remove()
	remove = refuse(apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, webName.Name,
		context.Canceled))
	h.eventually("the refusal is said, or it came too late", func() bool {
		return strings.Contains(h.fleet.Faults()[webKey], "deployment/shop/backendtls-web is refused by the API server") ||
			h.deployment() != nil
	})
	remove()
	h.applied()
	if faults := h.fleet.Faults(); len(faults) > 0 {
		t.Errorf("faults %v", faults)
	}
}

func TestANamespaceThatGoesIsNoFault(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	refused := make(chan struct{}, 100)
	h.server.Hook(func(_ context.Context, r apitest.Request) error {
		if !r.Write() {
			return nil
		}
		refused <- struct{}{}
		// As the admission of the API server says it (plugin namespace/lifecycle).
		err := apierrors.NewForbidden(schema.GroupResource{Resource: r.Resource}, webName.Name,
			errors.New("unable to create new content in namespace shop because it is being terminated"))
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace"}}
		return err
	})
	h.put(web())
	// Each object of the fleet is refused once: nothing is tried again.
	for range 6 {
		<-refused
	}
	h.quiet()
	if faults := h.fleet.Faults(); len(faults) > 0 || len(refused) > 0 {
		t.Errorf("faults %v, and %d more writes", faults, len(refused))
	}
	if strings.Contains(h.log.String(), "level=ERROR") || strings.Contains(h.log.String(), "tried again") {
		t.Errorf("the log complains:\n%s", h.log.String())
	}
}

func TestADeploymentThatCannotMakePodsIsSaidWhileThereAreNone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	const words = `pods "x" is forbidden: violates PodSecurity`
	change(h, h.deployment(), func(d *appsv1.Deployment) {
		d.Status.Conditions = []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: words,
		}}
	})
	h.eventually("it is said", func() bool {
		return h.fleet.Faults()[webKey] == "deployment/shop/backendtls-web cannot make pods: "+words
	})
	h.server.Put(started(envoyPod(h.replicaSet(), "one")))
	h.expect("one")
	if faults := h.fleet.Faults(); len(faults) > 0 {
		t.Errorf("with an Envoy that runs: %v", faults)
	}
}

func TestEndingDoesNotWaitForAnAPIServerThatHangs(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	hanging := make(chan struct{}, 10)
	remove := h.server.Hook(func(ctx context.Context, r apitest.Request) error {
		if r.Write() {
			hanging <- struct{}{}
			<-ctx.Done()
		}
		return nil
	})
	t.Cleanup(remove)
	h.put(web())
	select {
	case <-hanging:
	case <-time.After(time.Minute):
		t.Fatal("nothing is written")
	}
	// The harness ends the Fleet, and goleak sees what stays.
}
