package session_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
)

// cluster is an API server in memory as a session.Cluster.
type cluster struct {
	t testing.TB
	*apiservertest.Server
	transport *http.Transport
}

// parse makes objects of a file with several documents.
func parse(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var list []*unstructured.Unstructured
	for document := range strings.SplitSeq(text, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		list = append(list, object)
	}
	return list
}

func configMap(t testing.TB, namespace, name string, data map[string]string) *unstructured.Unstructured {
	t.Helper()
	content := map[string]any{}
	for key, value := range data {
		content[key] = value
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "namespace": namespace},
		"data": content,
	}}
}

// newCluster serves testdata/site.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, file := range []string{"api.yaml", "gateway.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", "site", file))
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, parse(t, string(data))...)
	}
	roots := manifest.SystemRoots()
	objects = append(objects, configMap(t, roots.Namespace, roots.Name, roots.Data))
	c := &cluster{t: t, Server: apiservertest.New(t, objects...), transport: &http.Transport{}}
	t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

func (c *cluster) RESTConfig() (*rest.Config, error) {
	return &rest.Config{Host: c.URL, Transport: c.transport, QPS: -1}, nil
}

func (c *cluster) Client() (client.Client, error) { return c.Watcher() }

func (c *cluster) Watcher() (client.WithWatch, error) {
	scheme, err := collect.Scheme()
	if err != nil {
		return nil, err
	}
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: collect.Mapper()})
}

func (c *cluster) Name() string { return "context dev" }

func (c *cluster) Arguments() string { return "" }

func (c *cluster) Ahead() time.Duration { return 0 }

// sitting is a Session about the cluster.
func (c *cluster) sitting() *session.Session {
	return session.New(session.Config{
		Cluster: c, Program: "kubectl backendtls", Via: session.ViaPortForward, ProbeTimeout: time.Second,
		Now: func() time.Time { return noon },
	})
}

// put stores objects of a text.
func (c *cluster) put(text string) {
	c.t.Helper()
	for _, object := range parse(c.t, text) {
		if err := c.Put(object, "kubectl"); err != nil {
			c.t.Fatal(err)
		}
	}
}

// asked counts the requests of a verb, by resource and namespace.
func (c *cluster) asked(verb string) map[string]int {
	count := map[string]int{}
	for _, request := range c.Requests() {
		if request.Verb == verb {
			count[strings.TrimSuffix(request.Resource+" "+request.Namespace, " ")]++
		}
	}
	return count
}

func withPolicy(state session.State) bool {
	return len(state.Paths) == 1 && state.Paths[0].Policy != nil && state.Trouble.Kind == session.NoTrouble
}

func TestAStateOfAClusterComesAtOnceAndAfterEachChange(t *testing.T) {
	c := newCluster(t)
	states := c.sitting().Watch(t.Context(), shop)
	first := until(t, states, "one path", paths(1))
	if first.Source != "context dev" || !first.Live || first.Paths[0].Policy != nil || len(first.Warnings) != 0 {
		t.Errorf("got %+v", first)
	}
	if !slices.Equal(first.Namespaces, []string{"shop"}) {
		t.Errorf("namespaces are %q", first.Namespaces)
	}
	c.put(fixture(t, "policy.yaml"))
	until(t, states, "a policy", withPolicy)
	c.Delete("httproutes", "shop", "api")
	until(t, states, "a port alone", func(state session.State) bool {
		return len(state.Paths) == 1 && state.Paths[0].Route == nil
	})
}

func TestAChangeCostsNoListOfTheCluster(t *testing.T) {
	c := newCluster(t)
	states := c.sitting().Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))
	before := c.asked("list")
	for i := range 5 {
		c.put(strings.ReplaceAll(fixture(t, "policy.yaml"), "api.example.com", fmt.Sprintf("api%d.example.com", i)))
		until(t, states, "the policy", func(state session.State) bool {
			return withPolicy(state) && state.Paths[0].Policy.Trust != nil &&
				state.Paths[0].Policy.Trust.SNI == fmt.Sprintf("api%d.example.com", i)
		})
	}
	after := c.asked("list")
	for resource, n := range after {
		if strings.HasPrefix(resource, "configmaps") {
			continue // The policy names one that was not asked for before.
		}
		if n != before[resource] || n != 1 && resource != "events shop" { // Those are of two kinds.
			t.Errorf("%s were listed %d times, and %d times before the changes", resource, n, before[resource])
		}
	}
	for _, request := range c.Requests() {
		if request.Resource == "secrets" || request.Resource == "configmaps" && request.Name == "" {
			t.Errorf("asked for %+v", request)
		}
	}
}

func TestAConfigMapIsFollowedByItsName(t *testing.T) {
	c := newCluster(t)
	c.put(strings.ReplaceAll(fixture(t, "policy.yaml"), "wellKnownCACertificates: System",
		`caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]`))
	states := c.sitting().Watch(t.Context(), shop)
	until(t, states, "a refused policy", func(state session.State) bool {
		return withPolicy(state) && state.Paths[0].Verdict.Reason == "NoValidCACertificate"
	})
	if err := c.Put(configMap(t, "shop", "ca", manifest.SystemRoots().Data), "kubectl"); err != nil {
		t.Fatal(err)
	}
	until(t, states, "a trusted bundle", func(state session.State) bool {
		return withPolicy(state) && state.Paths[0].Policy.Trust != nil && state.Paths[0].Policy.Trust.Anchors > 0
	})
}

func TestWatchesThatEndAreTakenUpAgain(t *testing.T) {
	for name, end := range map[string]func(*apiservertest.Server){
		"cut":                            (*apiservertest.Server).CutWatches,
		"of a version that is forgotten": (*apiservertest.Server).Forget,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			states := c.sitting().Watch(t.Context(), shop)
			until(t, states, "one path", paths(1))
			end(c.Server)
			c.put(fixture(t, "policy.yaml"))
			until(t, states, "a policy", withPolicy)
		})
	}
}

func TestAnAPIServerThatIsAwayLeavesTheLastPathsWithTheirAge(t *testing.T) {
	c := newCluster(t)
	states := c.sitting().Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))
	c.Leave()
	away := until(t, states, "trouble", trouble(session.Unreachable))
	if len(away.Paths) != 1 || away.At.After(away.Now) || !strings.Contains(away.Trouble.Text, "context dev") {
		t.Errorf("got %+v", away)
	}
	c.put(fixture(t, "policy.yaml"))
	if err := c.Return(); err != nil {
		t.Fatal(err)
	}
	until(t, states, "a policy", withPolicy)
}

func TestAnAPIServerThatIsAwayAtFirstIsWaitedFor(t *testing.T) {
	c := newCluster(t)
	c.Leave()
	states := c.sitting().Watch(t.Context(), shop)
	away := until(t, states, "trouble", trouble(session.Unreachable))
	if len(away.Paths) != 0 || away.Trouble.Next == "" {
		t.Errorf("got %+v", away)
	}
	if err := c.Return(); err != nil {
		t.Fatal(err)
	}
	until(t, states, "one path", paths(1))
}

func TestWhoMayReadNothingIsToldWhichRightsLack(t *testing.T) {
	c := newCluster(t)
	c.Allow = func(string, string, string, string) bool { return false }
	state := until(t, c.sitting().Watch(t.Context(), shop), "trouble", trouble(session.NothingVisible))
	want := "list gateways.gateway.networking.k8s.io in namespace shop"
	if !slices.Contains(state.Trouble.Missing, want) || !strings.Contains(state.Trouble.Next, "ClusterRole view") {
		t.Errorf("got %+v", state.Trouble)
	}
}

func TestWhatMayNotBeWatchedIsPolledAndSaidOnce(t *testing.T) {
	c := newCluster(t)
	c.Allow = func(verb, resource, _, _ string) bool {
		return verb != "watch" || resource != "services" && resource != "httproutes"
	}
	state := until(t, c.sitting().Watch(t.Context(), shop), "a warning", func(state session.State) bool {
		return len(state.Paths) == 1 && len(state.Warnings) == 1 && strings.Contains(state.Warnings[0], "services")
	})
	if !strings.Contains(state.Warnings[0], "httproutes.gateway.networking.k8s.io, services cannot be watched") {
		t.Errorf("warnings are %q", state.Warnings)
	}
}

func TestAClusterWithoutGatewayAPISaysHowToInstallIt(t *testing.T) {
	c := newCluster(t)
	c.Unserved = []string{
		"gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes", "tcproutes",
		"referencegrants", "backendtlspolicies",
	}
	state := until(t, c.sitting().Watch(t.Context(), shop), "trouble", trouble(session.NoGatewayAPI))
	if !strings.Contains(state.Trouble.Next, "kubectl apply --server-side") {
		t.Errorf("got %+v", state.Trouble)
	}
}

const event = `apiVersion: v1
kind: Event
metadata: {name: api.1, namespace: shop}
involvedObject: {kind: BackendTLSPolicy, namespace: shop, name: api}
type: Warning
reason: SecurityDegraded
message: "verification is off \e[31m"
count: 3
lastTimestamp: "2026-11-21T11:59:00Z"
source: {component: backendtls}
`

func TestEventsAboutPoliciesAreShownAndOthersAreNot(t *testing.T) {
	c := newCluster(t)
	c.put(fixture(t, "policy.yaml"))
	c.put(strings.NewReplacer("api.1", "pod.1", "BackendTLSPolicy", "Pod").Replace(event))
	states := c.sitting().Watch(t.Context(), shop)
	until(t, states, "a policy", withPolicy)
	c.put(event)
	state := until(t, states, "an event", func(state session.State) bool { return len(state.Events) > 0 })
	got := state.Events[0]
	if len(state.Events) != 1 || got.Object.Name != "api" || got.Count != 3 || got.ReportingFrom != "backendtls" ||
		!got.At.Equal(noon.Add(-time.Minute)) || strings.Contains(got.Text, "\x1b") {
		t.Errorf("got %+v", state.Events)
	}
}

func TestAnEmptyClusterSaysWhichClassAGatewayNeeds(t *testing.T) {
	c := newCluster(t)
	c.Delete("gateways", "shop", "web")
	c.Delete("httproutes", "shop", "api")
	states := c.sitting().Watch(t.Context(), session.Scope{All: true})
	state := until(t, states, "trouble", trouble(session.NoGateways))
	if !strings.Contains(state.Trouble.Next, "a Gateway of the GatewayClass backendtls") {
		t.Errorf("got %+v", state.Trouble)
	}
	c.Delete("gatewayclasses", "", "backendtls")
	until(t, states, "another advice", func(state session.State) bool {
		return strings.Contains(state.Trouble.Next, "a GatewayClass of controllerName backendtls.dev/gateway-controller")
	})
}

func TestNothingIsUnderWayAfterTheEnd(t *testing.T) {
	c := newCluster(t)
	ctx, leave := context.WithCancel(t.Context())
	states := c.sitting().Watch(ctx, session.Scope{All: true})
	until(t, states, "one path", paths(1))
	leave()
	for open := true; open; {
		_, open = <-states
	}
}

func TestWhatSomebodyMayNotChangeIsNotOfferedThere(t *testing.T) {
	c := newCluster(t)
	c.Allow = func(verb, resource, _, _ string) bool {
		return verb != "create" || resource != "backendtlspolicies"
	}
	asked := make(chan struct{})
	answer := sync.OnceFunc(func() { close(asked) })
	t.Cleanup(answer) // The server waits for whom it has not answered.
	c.Before = func(request apiservertest.Request) {
		if request.Resource == "selfsubjectaccessreviews" {
			<-asked
		}
	}
	sitting := c.sitting()
	states := sitting.Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))
	if got := sitting.Forbidden(session.ActionPin, api); got != "" {
		t.Errorf("it is forbidden before anybody knows: %s", got)
	}
	answer()
	want := "you may not create backendtlspolicies.gateway.networking.k8s.io in namespace shop"
	until(t, states, "a state after the answer", func(session.State) bool {
		return sitting.Forbidden(session.ActionPin, api) == want
	})
	c.put(fixture(t, "policy.yaml"))
	until(t, states, "leave to patch", func(state session.State) bool {
		return withPolicy(state) && sitting.Forbidden(session.ActionPin, api) == ""
	})
}

func TestWhoeverMayDoItEverywhereIsAskedAboutOnce(t *testing.T) {
	c := newCluster(t)
	until(t, c.sitting().Watch(t.Context(), session.Scope{All: true}), "one path", paths(1))
	await(t, "two questions", func() bool { return len(c.questions()) == 2 })
	if got := c.questions(); got[0] != "" || got[1] != "" {
		t.Errorf("was asked about the namespaces %q", got)
	}
}

// questions are the namespaces about which was asked who may do something there.
func (c *cluster) questions() []string {
	var list []string
	for _, request := range c.Requests() {
		if request.Resource == "selfsubjectaccessreviews" {
			list = append(list, request.Namespace)
		}
	}
	return list
}

// await waits for what happens beside everything else.
func await(t *testing.T, wanted string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); !is(); <-tick.C {
		if time.Since(begin) > patience {
			t.Fatalf("no %s", wanted)
		}
	}
}
