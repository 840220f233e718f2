package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/kubelettest"
)

// clusterShop is the fixture with a Service for every verdict, in a cluster
// whose pods are the servers.
type clusterShop struct {
	*bench
	api  *apiservertest.Server
	pods *kubelettest.Kubelet
	// addresses are those of the pods, as EndpointSlices have them.
	addresses map[types.NamespacedName]string
}

func newClusterShop(t *testing.T) *clusterShop {
	t.Helper()
	return newClusterOf(t, newShop(t), "shop")
}

// newClusterOf is a cluster with the objects of a bench's directory.
func newClusterOf(t *testing.T, b *bench, dir string) *clusterShop {
	t.Helper()
	s := &clusterShop{bench: b, addresses: map[types.NamespacedName]string{}}
	roots, err := runtime.DefaultUnstructuredConverter.ToUnstructured(manifest.SystemRoots())
	if err != nil {
		t.Fatal(err)
	}
	objects := append(s.objects(dir), &unstructured.Unstructured{Object: roots})
	s.pods = &kubelettest.Kubelet{Dial: func(ctx context.Context, pod types.NamespacedName, port uint16) (net.Conn, error) {
		address, found := s.addresses[pod]
		if !found {
			return nil, errors.New("no such pod")
		}
		return s.dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	}}
	s.api = apiservertest.New(t, objects...)
	s.api.Now = func() time.Time { return now }
	s.api.Forward = s.pods
	return s
}

// objects are what the manifests of a directory hold, with the statuses that
// are kept beside them.
func (s *clusterShop) objects(dir string) []*unstructured.Unstructured {
	s.t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		for _, object := range s.documents(path) {
			if object.GetNamespace() == "" && object.GetKind() != "GatewayClass" && object.GetKind() != "Namespace" {
				object.SetNamespace("default")
			}
			s.dress(dir, object)
			s.notePods(object)
			objects = append(objects, object)
		}
	}
	return objects
}

func (s *clusterShop) documents(path string) []*unstructured.Unstructured {
	s.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, document := range manifest.Documents(content) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(content[document.Start:document.End], &object.Object); err != nil {
			s.t.Fatalf("%s: %v", path, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects
}

// dress gives an object the status that a standalone operator wrote.
func (s *clusterShop) dress(dir string, object *unstructured.Unstructured) {
	name := strings.Join([]string{object.GetKind(), object.GetNamespace(), object.GetName(), "yaml"}, ".")
	path := filepath.Join(dir, ".backendtls", "status", name)
	if _, err := os.Stat(path); err != nil {
		return
	}
	object.Object["status"] = s.documents(path)[0].Object["status"]
}

func (s *clusterShop) notePods(object *unstructured.Unstructured) {
	if object.GetKind() != "EndpointSlice" {
		return
	}
	var slice discoveryv1.EndpointSlice
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &slice); err != nil {
		s.t.Fatal(err)
	}
	for _, endpoint := range slice.Endpoints {
		if ref := endpoint.TargetRef; ref != nil {
			s.addresses[types.NamespacedName{Namespace: slice.Namespace, Name: ref.Name}] = endpoint.Addresses[0]
		}
	}
}

// command runs a command line against the API server.
func (s *clusterShop) command(line string) (code int, stdout, stderr string) {
	s.t.Helper()
	return s.run(append(words(line), "--server", s.api.URL)...)
}

// golden is like the bench's, without the address of the server.
func (s *clusterShop) goldenCommand(t *testing.T, name, line string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := s.command(line)
	s.compare(t, name, strings.ReplaceAll(transcript(line, code, stdout, stderr), s.api.URL, "https://api.example.com:6443"))
	return stdout, stderr
}

// transcript is what a golden file holds.
func transcript(line string, code int, stdout, stderr string) string {
	text := "$ kubectl backendtls " + line + "\n" + stdout
	if stderr != "" {
		text += "--- stderr\n" + stderr
	}
	return text + fmt.Sprintf("--- exit code %d\n", code)
}

func TestVerbsThatReadACluster(t *testing.T) {
	s := newClusterShop(t)
	for _, test := range []struct{ name, line string }{
		{"cluster-inspect-api", "inspect svc/api"},
		{"cluster-inspect-skip", "inspect svc/skip --no-probe"},
		{"cluster-inspect-gone", "inspect svc/gone"},
		{"cluster-inspect-list", "inspect"},
		{"cluster-inspect-all", "inspect -A --probe"},
		{"cluster-inspect-json", "inspect svc/skip --no-probe -o json"},
		{"cluster-inspect-yaml", "inspect svc/drift -o yaml"},
		{"cluster-inspect-elsewhere", "inspect svc/nobody"},
		{"cluster-fetch-text", "fetch svc/mixed"},
		{"cluster-fetch-selected", "fetch -l app=api"},
		{"cluster-fetch-json", "fetch svc/good -o json"},
		{"cluster-fetch-direct", "fetch svc/good --via direct"},
		{"cluster-verify-good", "verify svc/good"},
		{"cluster-verify-all", "verify -A"},
		{"cluster-verify-yaml", "verify svc/named -o yaml"},
	} {
		t.Run(test.name, func(t *testing.T) { s.goldenCommand(t, test.name, test.line) })
	}
	for _, request := range s.api.Requests() {
		switch {
		case request.Resource == "secrets":
			t.Errorf("it reads Secrets: %+v", request)
		case request.Resource == "configmaps" && request.Verb != "get":
			t.Errorf("it reads more ConfigMaps than are named: %+v", request)
		case request.Writes():
			t.Errorf("it writes: %+v", request)
		}
	}
}

// TestAClusterSaysTheSameAsFiles: with the same objects and endpoints, what is
// printed differs in nothing but the way to them.
func TestAClusterSaysTheSameAsFiles(t *testing.T) {
	s := newClusterShop(t)
	for _, line := range []string{
		"inspect -A -o json", "inspect -A -o wide", "inspect svc/api svc/good svc/mixed -o json",
		"verify svc/api svc/named svc/skip svc/multi:443 -o json", "verify -n shop -o json", "fetch svc/mixed -o json",
	} {
		_, files, _ := s.run(append(words(line), "-f", "shop")...)
		_, cluster, _ := s.command(line)
		for _, way := range []struct{ cluster, files string }{
			{`"via": "port-forward"`, `"via": "direct"`},
			{"pin svc/api -n default", "pin svc/api -f shop --write"},
		} {
			cluster = strings.ReplaceAll(cluster, way.cluster, way.files)
		}
		if diff := cmp.Diff(withoutCommands(files), withoutCommands(cluster)); diff != "" {
			t.Errorf("%s, in files (-) and in the cluster (+):\n%s", line, diff)
		}
	}
}

// withoutCommands leaves out the lines that say what to type.
func withoutCommands(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.Contains(line, "kubectl backendtls") || strings.Contains(line, "problems") ||
			strings.Contains(line, "shop/")
	})
}

func TestListsAreReadInPages(t *testing.T) {
	s := newClusterShop(t)
	_, want, _ := s.command("inspect -A -o json")
	s.api.Page = 2
	if _, got, _ := s.command("inspect -A -o json"); got != want {
		t.Errorf("in pages of two:\n%s", got)
	}
	s.api.Expire = true
	if _, got, stderr := s.command("inspect -A -o json"); got != want {
		t.Errorf("with a continuation that has expired:\n%s%s", got, stderr)
	}
	if s.api.Expire {
		t.Error("nothing was continued")
	}
}

func TestKindsThatAreNotInstalled(t *testing.T) {
	all := []string{
		"gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes", "tcproutes",
		"referencegrants", "backendtlspolicies",
	}
	for _, test := range []struct {
		name     string
		unserved []string
		line     string
		code     int
		want     string
	}{
		{"no Gateway API", all, "inspect", 1, "error: this cluster has no Gateway API"},
		{"no Gateway API to verify", all, "verify -A", 2, "kubectl apply --server-side -f https://github.com/"},
		{"no policies", []string{"backendtlspolicies"}, "inspect", 0, "warning: this cluster serves no backendtlspolicies"},
		{"no kind of ours", []string{"gatewayparameters"}, "inspect", 0, "warning: this cluster serves no gatewayparameters"},
		{"no kind that is optional", []string{"listenersets", "tcproutes", "tlsroutes", "grpcroutes"}, "inspect", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newClusterShop(t)
			s.api.Unserved = test.unserved
			code, stdout, stderr := s.command(test.line)
			if code != test.code || !strings.Contains(stderr, test.want) || test.want == "" && stderr != "" {
				t.Errorf("exit code %d, stderr %q", code, stderr)
			}
			if strings.Count(stderr, "\n") > 1 {
				t.Errorf("more than one line: %q", stderr)
			}
			if (code == 0) != strings.Contains(stdout, "svc/api:443") {
				t.Errorf("stdout %q", stdout)
			}
		})
	}
}

func TestOlderVersionsAreReadAsFarAsTheyAgree(t *testing.T) {
	s := newClusterShop(t)
	_, want, _ := s.command("inspect svc/api --no-probe")
	s.api.Unserved = []string{"backendtlspolicies/v1", "referencegrants/v1"}
	s.api.Older = []string{"backendtlspolicies/v1alpha3", "referencegrants/v1beta1"}
	code, got, stderr := s.command("inspect svc/api --no-probe")
	if code != 0 || got != want || stderr != "" {
		t.Errorf("exit code %d, stderr %q:\n%s", code, stderr, got)
	}
}

func TestAnAPIServerThatCannotBeReached(t *testing.T) {
	s := newClusterShop(t)
	for line, code := range map[string]int{"inspect": 1, "verify svc/api": 2} {
		got, _, stderr := s.run(append(words(line), "--server", "http://127.0.0.1:1")...)
		if got != code || !strings.Contains(stderr, "cannot reach the cluster at http://127.0.0.1:1: ") ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, stderr %q", line, got, stderr)
		}
	}
}

func TestOneThatHangsIsGivenUp(t *testing.T) {
	s := newClusterShop(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	server := http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }), ReadHeaderTimeout: time.Second}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	code, _, stderr := s.run("inspect", "--request-timeout", "200ms", "--server", "http://"+listener.Addr().String())
	if code != 1 || !strings.Contains(stderr, "did not answer") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// TestKindsThatMayNotBeListed takes one right after the other away. What is left
// is shown; what depends on the right is neither claimed nor denied.
func TestKindsThatMayNotBeListed(t *testing.T) {
	for _, resource := range []string{
		"gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes", "tcproutes",
		"referencegrants", "backendtlspolicies", "gatewayparameters", "namespaces", "services", "endpointslices",
	} {
		t.Run(resource, func(t *testing.T) {
			s := newClusterShop(t)
			s.api.Allow = func(_, asked, _, _ string) bool { return asked != resource }
			_, stderr := s.goldenCommand(t, "cluster-forbidden-"+resource, "inspect -A")
			if strings.Count(stderr, "warning: you may not list "+resource) != 1 {
				t.Errorf("stderr %q", stderr)
			}
		})
	}
}

func TestRightsInOneNamespaceOnly(t *testing.T) {
	for _, test := range []struct {
		name, line string
		allow      func(verb, resource, namespace, name string) bool
	}{
		{"cluster-bound-default", "inspect", func(_, _, namespace, _ string) bool { return namespace == "default" }},
		{"cluster-bound-all", "inspect -A", func(_, _, namespace, _ string) bool { return namespace == "default" }},
		{"cluster-bound-text", "inspect svc/api", func(_, _, namespace, _ string) bool { return namespace == "default" }},
		{"cluster-bound-classes", "inspect", func(verb, resource, namespace, _ string) bool {
			return namespace == "default" || verb == "get" && resource == "gatewayclasses"
		}},
		{"cluster-bound-shop", "inspect -n shop", func(verb, _, namespace, name string) bool {
			return namespace == "shop" || verb == "get" && name != ""
		}},
		{"cluster-bound-configmaps", "inspect svc/api --no-probe", func(_, resource, _, _ string) bool {
			return resource != "configmaps"
		}},
		{"cluster-bound-forward", "inspect svc/good", func(_, resource, _, _ string) bool {
			return resource != "pods/portforward"
		}},
		{"cluster-bound-forward-verify", "verify svc/good", func(_, resource, _, _ string) bool {
			return resource != "pods/portforward"
		}},
		{"cluster-bound-create-only", "verify svc/good -o json", func(verb, resource, _, _ string) bool {
			return resource != "pods/portforward" || verb == "create"
		}},
		{"cluster-bound-nothing", "inspect", func(_, _, _, _ string) bool { return false }},
		{"cluster-bound-nothing-named", "fetch svc/api", func(_, _, _, _ string) bool { return false }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newClusterShop(t)
			s.api.Allow = test.allow
			s.goldenCommand(t, test.name, test.line)
		})
	}
}

// TestAGatewayThatTheRoutesStatusCallsOurs: a person who may not read
// GatewayClasses, which have no namespace, still learns why requests fail.
func TestAGatewayThatTheRoutesStatusCallsOurs(t *testing.T) {
	s := newClusterShop(t)
	s.api.Allow = func(_, resource, namespace, _ string) bool {
		return resource == "pods/portforward" || namespace == "default"
	}
	for _, route := range []string{"api", "skip"} {
		s.api.SetStatus("httproutes", "default", route, map[string]any{"parents": []any{map[string]any{
			"parentRef": map[string]any{"name": "web"}, "controllerName": "backendtls.dev/gateway-controller",
		}}})
	}
	s.goldenCommand(t, "cluster-claimed-text", "inspect svc/api")
	s.goldenCommand(t, "cluster-claimed-mode", "inspect svc/skip --no-probe")
	s.goldenCommand(t, "cluster-claimed-verify", "verify svc/api")
}

// TestACAInASecret: Secrets are never read, so the operator's status speaks.
func TestACAInASecret(t *testing.T) {
	s := newClusterShop(t)
	policy := s.api.Get("backendtlspolicies", "default", "api")
	refs := []any{map[string]any{"group": "", "kind": "Secret", "name": "ca"}}
	if err := unstructured.SetNestedSlice(policy.Object, refs, "spec", "validation", "caCertificateRefs"); err != nil {
		t.Fatal(err)
	}
	if err := s.api.Put(policy, "kubectl"); err != nil {
		t.Fatal(err)
	}
	// The status is about the generation before: nobody knows.
	s.goldenCommand(t, "cluster-secret-stale", "inspect svc/api")
	generation := s.api.Get("backendtlspolicies", "default", "api").GetGeneration()
	status := policy.Object["status"].(map[string]any)
	for _, ancestor := range status["ancestors"].([]any) {
		for _, condition := range ancestor.(map[string]any)["conditions"].([]any) {
			condition.(map[string]any)["observedGeneration"] = generation
		}
	}
	s.api.SetStatus("backendtlspolicies", "default", "api", status)
	s.goldenCommand(t, "cluster-secret-told", "inspect svc/api")
	s.goldenCommand(t, "cluster-secret-list", "inspect -l app=api")
	s.goldenCommand(t, "cluster-secret-verify", "verify svc/api")
}

func TestNamesAreCompletedFromTheCluster(t *testing.T) {
	s := newClusterShop(t)
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	namespace.SetName("shop")
	if err := s.api.Put(namespace, "kubectl"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"inspect", ""}, "svc/\nbtlspolicy/\ngateway/\nhttproute/\ngrpcroute/\ntlsroute/\n:6\n"},
		{[]string{"inspect", "gateway/"}, "gateway/mesh\ngateway/strict\ngateway/web\n:4\n"},
		{[]string{"fetch", "-n", "shop", "svc/"}, "svc/lonely\n:4\n"},
		{[]string{"verify", "-n", "nowhere", "btlspolicy/"}, ":4\n"},
		{[]string{"inspect", "-n", ""}, "shop\n:4\n"},
	} {
		_, stdout, stderr := s.run(slices.Concat([]string{"__complete", "--server", s.api.URL}, test.args)...)
		if stdout != test.want || strings.Contains(stderr, "warning") || strings.Contains(stderr, "error") {
			t.Errorf("%q: %q, want %q; stderr %q", test.args, stdout, test.want, stderr)
		}
	}
	// Whoever may not is told nothing, and not in the middle of a line.
	s.api.Allow = func(_, _, _, _ string) bool { return false }
	code, stdout, stderr := s.run("__complete", "--server", s.api.URL, "fetch", "svc/")
	if code != 0 || stdout != ":4\n" || strings.Contains(stderr, "forbidden") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestTimesAreJudgedByTheAPIServersClock(t *testing.T) {
	s := newClusterShop(t)
	s.api.Now = func() time.Time { return now.Add(3 * time.Hour) } // Past the end of the mode.
	_, stdout, stderr := s.command("inspect svc/skip --no-probe")
	if !strings.Contains(stdout, "InsecureSkipVerification, expired") {
		t.Errorf("the mode has not expired:\n%s", stdout)
	}
	if want := "warning: this machine's clock and the API server's differ by 3h0m0s"; !strings.Contains(stderr, want) {
		t.Errorf("stderr %q", stderr)
	}
}
