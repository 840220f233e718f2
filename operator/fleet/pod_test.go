package fleet

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/apitest"
)

func TestEnvoysAreThePodsThatHaveStartedUntilTheyAreGone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	set := h.replicaSet()
	one, two := envoyPod(set, "one"), envoyPod(set, "two")
	h.server.Put(one, two)
	h.server.Put(started(one))
	h.expect("one")
	// Terminating: it still serves. Its container may be reported as waiting.
	leaving := started(one)
	leaving.DeletionTimestamp, leaving.Finalizers = new(metav1.Now()), []string{"example.com/hold"}
	leaving.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	h.server.Put(leaving)
	h.server.Put(started(two))
	h.expect("one", "two")
	h.server.Delete(one)
	h.expect("two")
	// Evicted: the object stays, nothing runs.
	ended := started(two)
	ended.Status.Phase = corev1.PodFailed
	h.server.Put(ended)
	h.expect()
	// One that crashed is coming back.
	crashed := envoyPod(set, "three")
	crashed.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: EnvoyContainer, RestartCount: 1}}
	h.server.Put(crashed)
	h.expect("three")
}

func TestPodsThatOnlyLookLikeEnvoysAreNone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	set := h.replicaSet()
	for name, edit := range map[string]func(*corev1.Pod){
		"alone":      func(p *corev1.Pod) { p.OwnerReferences = nil },
		"of-a-job":   func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "Job" },
		"of-another": func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" },
		"unlabelled": func(p *corev1.Pod) { p.Labels = nil },
		"elsewhere":  func(p *corev1.Pod) { p.Namespace = "other" },
	} {
		p := started(envoyPod(set, name))
		edit(p)
		h.server.Put(p)
	}
	h.server.Put(started(envoyPod(set, "right")))
	h.expect("right")
}

func TestAPodIsIdentifiedByItsUIDAccountReplicaSetDeploymentAndGateway(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	set := h.replicaSet()
	h.server.Put(envoyPod(set, "one"))
	key, err := h.fleet.Lookup("shop", webName.Name, "one", "uid-of-one")
	if err != nil || key != webKey {
		t.Fatalf("%s, %v", key, err)
	}
	// It runs, whatever its status says by now.
	h.expect("one")

	stray := set.DeepCopy()
	stray.Name, stray.UID, stray.ResourceVersion = webName.Name+"-2", "stray-uid", ""
	stray.OwnerReferences[0].UID = "another-deployment"
	orphan := stray.DeepCopy()
	orphan.Name, orphan.UID, orphan.OwnerReferences = webName.Name+"-3", "orphan-uid", nil
	h.server.Put(stray, orphan, envoyPod(stray, "stray"), envoyPod(orphan, "orphan"))
	forged := envoyPod(set, "forged")
	forged.OwnerReferences[0].UID = "forged-uid"
	gone := envoyPod(set, "gone")
	gone.OwnerReferences[0].Name, gone.OwnerReferences[0].UID = "nothing", "nothing"
	alone := envoyPod(set, "alone")
	alone.OwnerReferences = nil
	h.server.Put(forged, gone, alone)
	h.eventually("the pods are seen", func() bool {
		h.fleet.mu.Lock()
		defer h.fleet.mu.Unlock()
		return len(h.fleet.observed.pods) == 6
	})
	for name, c := range map[string]struct{ account, pod, uid, words string }{
		"another UID":                 {webName.Name, "one", "uid-of-two", "its UID is uid-of-one, not uid-of-two"},
		"another account":             {"default", "one", "uid-of-one", `its ServiceAccount is "backendtls-web", not "default"`},
		"a set of another Deployment": {webName.Name, "stray", "uid-of-stray", "is not controlled by Deployment"},
		"a set of nobody":             {webName.Name, "orphan", "uid-of-orphan", "is not controlled by a Deployment"},
		"a set of another UID":        {webName.Name, "forged", "uid-of-forged", "is not controlled by a Deployment"},
		"a set that does not exist":   {webName.Name, "gone", "uid-of-gone", "replicaset nothing"},
		"a pod that nobody controls":  {webName.Name, "alone", "uid-of-alone", "no ReplicaSet controls it"},
		"a pod that does not exist":   {webName.Name, "nobody", "uid-of-nobody", "there is no Envoy pod of that name"},
	} {
		key, err := h.fleet.Lookup("shop", c.account, c.pod, types.UID(c.uid))
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %s, %v", name, key, err)
		}
	}
	// The Gateway was replaced by another one of its name.
	h.put(web(func(g *model.Gateway) { g.Fleet.Owner = "0001-web" }))
	if key, err := h.fleet.Lookup("shop", webName.Name, "one", "uid-of-one"); err == nil {
		t.Errorf("a pod of an earlier Gateway: %s", key)
	}
	h.put()
	if key, err := h.fleet.Lookup("shop", webName.Name, "one", "uid-of-one"); err == nil {
		t.Errorf("a pod of no Gateway: %s", key)
	}
}

func TestAnEnvoyMayBeFasterThanTheNewsOfIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	set := h.replicaSet()
	found := make(chan error, 1)
	go func() {
		_, err := h.fleet.Lookup("shop", webName.Name, "late", "uid-of-late")
		found <- err
	}()
	select {
	case err := <-found:
		t.Fatalf("answered before the pod was there: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	h.server.Put(envoyPod(set, "late"))
	if err := <-found; err != nil {
		t.Error(err)
	}
}

func TestReplicaSetsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	set := h.replicaSet()
	h.server.Put(envoyPod(set, "one"), envoyPod(set, "two"))
	asked := 0
	remove := h.server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource == "replicasets" {
			asked++
			if r.Verb != "get" || !r.Metadata {
				t.Errorf("%s of replicasets", r.Verb)
			}
		}
		return nil
	})
	t.Cleanup(remove)
	for range 3 {
		for _, name := range []string{"one", "two"} {
			if _, err := h.fleet.Lookup("shop", webName.Name, name, types.UID("uid-of-"+name)); err != nil {
				t.Error(err)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAddressesAreThoseOfTheGatewaysOwnService(t *testing.T) {
	t.Parallel()
	h := newHarness(t, apitest.New(t))
	h.put(web())
	h.applied()
	service := named(&corev1.Service{}).(*corev1.Service)
	change(h, service, func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"10.0.0.1"} })
	h.quiet()
	if got := h.fleet.Addresses(); len(got) > 0 {
		t.Errorf("of a load balancer that has none yet: %v", got)
	}
	change(h, service, func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb.example.com"}}
	})
	h.eventually("the load balancer's addresses", func() bool {
		return cmp.Equal([]string{"192.0.2.1", "lb.example.com"}, h.fleet.Addresses()[webKey])
	})
	h.put(web(func(g *model.Gateway) { g.Fleet.ServiceType = "ClusterIP" }))
	h.eventually("a cluster address", func() bool {
		return cmp.Equal([]string{"10.0.0.1"}, h.fleet.Addresses()[webKey])
	})
	h.put(web(func(g *model.Gateway) { g.Fleet.Owner = "0001-web" }))
	if got := h.fleet.Addresses(); len(got) > 0 {
		t.Errorf("of another Gateway's Service: %v", got)
	}
}

func TestARestartedOperatorKnowsEverythingBeforeItIsReady(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	first := newHarness(t, server)
	first.put(web())
	first.applied()
	server.Put(started(envoyPod(first.replicaSet(), "one")))
	change(first, named(&corev1.Service{}).(*corev1.Service), func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	})
	second := newHarness(t, server)
	second.leading.Store(false)
	second.put(web())
	want := map[gwapi.Key][]string{webKey: {"one"}}
	if got := second.fleet.Envoys(); !cmp.Equal(want, got) {
		t.Errorf("Envoys %v", got)
	}
	if got := second.fleet.Addresses(); !cmp.Equal(map[gwapi.Key][]string{webKey: {"192.0.2.1"}}, got) {
		t.Errorf("addresses %v", got)
	}
}
