package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/command"
)

// clusterDesk is the fixture for the verbs that write, in a cluster.
type clusterDesk struct {
	*bench
	api *apiservertest.Server
}

// newClusterDesk puts what the files of the fixture hold into an API server.
func newClusterDesk(t *testing.T) *clusterDesk {
	t.Helper()
	b := newDesk(t)
	var objects []*unstructured.Unstructured
	put := func(object *unstructured.Unstructured) {
		if object.GetNamespace() == "" && object.GetKind() != "GatewayClass" && object.GetKind() != "Namespace" {
			object.SetNamespace("default")
		}
		objects = append(objects, object)
	}
	paths, err := filepath.Glob("desk/[a-z]*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range manifest.Documents(content) {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(content[document.Start:document.End], &object.Object); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if !object.IsList() {
				put(object)
				continue
			}
			items, err := object.ToList()
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			for i := range items.Items {
				put(&items.Items[i])
			}
		}
	}
	roots := &unstructured.Unstructured{}
	roots.SetAPIVersion("v1")
	roots.SetKind("ConfigMap")
	roots.SetNamespace("backendtls-system")
	roots.SetName("system-roots")
	roots.Object["data"] = map[string]any{"ca.crt": string(pem.EncodeToMemory(&pem.Block{
		Type: "CERTIFICATE", Bytes: b.identity("ca").Certificate[0],
	}))}
	objects = append(objects, roots)
	d := &clusterDesk{bench: b, api: apiservertest.New(t, objects...)}
	d.api.Now = func() time.Time { return now }
	return d
}

// cluster runs a command line against the API server.
func (d *clusterDesk) cluster(line string) (code int, stdout, stderr string) {
	d.t.Helper()
	return d.clusterContext(d.t.Context(), line)
}

func (d *clusterDesk) clusterContext(ctx context.Context, line string) (code int, stdout, stderr string) {
	d.t.Helper()
	args := append(words(line), "--server", d.api.URL)
	return d.runContext(ctx, args...)
}

// operate has an operator in the cluster: whenever the policy is read, the
// Gateways have spoken of its generation.
func (d *clusterDesk) operate(policy string, conditions func(generation int64) []any, gateways ...string) {
	var lock sync.Mutex
	d.api.Before = func(request apiservertest.Request) {
		lock.Lock()
		defer lock.Unlock()
		live := d.api.Get("backendtlspolicies", "default", policy)
		if request.Verb != "get" || request.Name != policy || live == nil {
			return
		}
		var ancestors []any
		for _, gateway := range gateways {
			namespace, name, _ := strings.Cut(gateway, "/")
			ancestors = append(ancestors, map[string]any{
				"ancestorRef": map[string]any{
					"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name,
				},
				"controllerName": "backendtls.dev/gateway-controller",
				"conditions":     conditions(live.GetGeneration()),
			})
		}
		d.api.SetStatus("backendtlspolicies", "default", policy, map[string]any{"ancestors": ancestors})
	}
}

func programmed(generation int64) []any {
	return []any{
		condition("Accepted", "True", "Accepted", "in force", generation),
		condition("Programmed", "True", "Programmed", "2 of 2 Envoys acknowledged the policy", generation),
		condition("SecurityDegraded", "False", "Pinned", "", generation),
	}
}

func condition(kind, status, reason, message string, generation int64) any {
	return map[string]any{
		"type": kind, "status": status, "reason": reason, "message": message,
		"observedGeneration": generation, "lastTransitionTime": "2026-11-21T12:00:00Z",
	}
}

// writes are the requests that stored something.
func (d *clusterDesk) writes() []apiservertest.Request {
	return slices.DeleteFunc(d.api.Requests(), func(r apiservertest.Request) bool { return !r.Writes() })
}

func (d *clusterDesk) options(policy string) map[string]string {
	live := d.api.Get("backendtlspolicies", "default", policy)
	if live == nil {
		return nil
	}
	options, _, _ := unstructured.NestedStringMap(live.Object, "spec", "options")
	return options
}

// TestWritesInACluster runs each line on a cluster of its own. The goldens hold
// what was said, what was written and what came of it.
func TestWritesInACluster(t *testing.T) {
	for _, test := range []struct{ name, line, policy, gateway string }{
		{"cluster-pin", "pin svc/api --via direct --yes", "api", "default/web"},
		{"cluster-pin-leaf", "pin svc/api --form leaf --via direct --yes", "api", "default/web"},
		{"cluster-pin-ca", "pin svc/good --form ca --via direct --yes", "good", "default/web"},
		{"cluster-pin-certificate", "pin svc/rotate --form certificate --via direct --yes", "rotate", "default/web"},
		{"cluster-pin-dry-client", "pin svc/api --via direct --dry-run", "api", "default/web"},
		{"cluster-pin-dry-server", "pin svc/rotate --form certificate --via direct --dry-run=server", "rotate", "default/web"},
		{"cluster-pin-read-only", "pin svc/api --via direct --dry-run=client --read-only -o name", "api", "default/web"},
		{"cluster-pin-yaml", "pin svc/api --via direct --yes -o yaml --wait 0", "api", "default/web"},
		{"cluster-pin-foreign", "pin svc/foreign --via direct --yes", "", ""},
		{"cluster-pin-classless", "pin svc/edge --via direct --yes", "", ""},
		{"cluster-unpin", "unpin svc/rotate --via direct --yes", "rotate", "default/web"},
		{"cluster-unpin-one", "unpin svc/rotate @cert:other@ --via direct --yes", "rotate", "default/web"},
		{"cluster-skip-on", "skip-verify on svc/good --for 2h --reason 'incident 4711' --yes", "good", "default/web"},
		{"cluster-skip-on-new", "skip-verify on svc/new --for 2h --reason x --yes", "new", "default/web"},
		{"cluster-skip-on-refused", "skip-verify on svc/narrow --for 2h --reason x --yes", "narrow", "infra/strict"},
		{"cluster-skip-off", "skip-verify off svc/shut", "shut", "infra/strict"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newClusterDesk(t)
			d.operate(test.policy, programmed, test.gateway)
			line := d.filled(test.line)
			code, stdout, stderr := d.cluster(line)
			var got strings.Builder
			fmt.Fprintf(&got, "$ kubectl backendtls %s\n%s--- stderr\n%s--- exit code %d\n", line, stdout, stderr, code)
			for _, request := range d.writes() {
				fmt.Fprintf(&got, "--- %s %s/%s as %s, %s, force %t\n%s\n", request.Verb, request.Resource,
					request.Name, request.FieldManager, request.ContentType, request.Force, request.Body)
			}
			d.compare(t, test.name, strings.ReplaceAll(got.String(), d.api.URL, "https://cluster"))
		})
	}
}

// compare is with testdata/golden/NAME.txt; UPDATE_GOLDEN=1 writes it.
func (b *bench) compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(b.testing, "testdata", "golden", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (UPDATE_GOLDEN=1 writes it): got\n%s\nwant\n%s", path, got, want)
	}
}

func TestAModeBeginsByTheAPIServersClock(t *testing.T) {
	for _, apart := range []time.Duration{-3 * time.Hour, -time.Second, time.Second, 25 * time.Hour} {
		t.Run(apart.String(), func(t *testing.T) {
			d := newClusterDesk(t)
			d.api.Now = func() time.Time { return now.Add(apart) }
			code, _, stderr := d.cluster("skip-verify on svc/good --for 2h --reason x --yes --wait 0")
			options := d.options("good")
			if code != 0 || options["backendtls.dev/mode-since"] != now.Add(apart).Format(time.RFC3339) ||
				options["backendtls.dev/mode-until"] != now.Add(apart+2*time.Hour).Format(time.RFC3339) {
				t.Errorf("exit code %d, %v\n%s", code, options, stderr)
			}
		})
	}
}

func TestWithoutTheAPIServersClockNoModeBegins(t *testing.T) {
	d := newClusterDesk(t)
	d.api.Undated = true
	code, _, stderr := d.cluster("skip-verify on svc/good --for 2h --reason x --yes")
	if code != 1 || !strings.Contains(stderr, "did not say what time it is") || len(d.writes()) > 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestARefusalByAdmissionComesBeforeTheQuestion(t *testing.T) {
	d := newClusterDesk(t)
	d.api.Admit = func(object *unstructured.Unstructured) error {
		return apierrors.NewForbidden(gatewayv1.Resource("backendtlspolicies"),
			object.GetName(), errors.New("ValidatingAdmissionPolicy 'modes' denied request: not in this namespace"))
	}
	code, stdout, stderr := d.cluster("skip-verify on svc/good --for 2h --reason x")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "nothing was written: ") ||
		!strings.Contains(stderr, "not in this namespace") || strings.Contains(stderr, "--yes") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestAWarningIsPrintedOnce(t *testing.T) {
	d := newClusterDesk(t)
	d.api.Warning = "this policy is watched"
	code, _, stderr := d.cluster("pin svc/api --via direct --yes --wait 0")
	if code != 0 || strings.Count(stderr, "warning: this policy is watched\n") != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestWithoutATerminalAClusterIsWrittenOnlyWithYes(t *testing.T) {
	d := newClusterDesk(t)
	for _, line := range []string{
		"pin svc/api --via direct", "unpin svc/rotate --via direct", "skip-verify on svc/good --for 2h --reason x",
	} {
		code, stdout, stderr := d.cluster(line)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "add --yes") || len(d.writes()) > 0 {
			t.Errorf("%s: exit code %d: %s%s", line, code, stdout, stderr)
		}
	}
}

func TestAMissingRightIsNamed(t *testing.T) {
	for _, test := range []struct{ verb, resource, line, want string }{
		{"patch", "backendtlspolicies", "pin svc/rotate --form certificate --via direct --yes", "patch backendtlspolicies.gateway.networking.k8s.io"},
		{"create", "backendtlspolicies", "pin svc/api --via direct --yes", "create backendtlspolicies.gateway.networking.k8s.io"},
		{"create", "configmaps", "pin svc/api --form leaf --via direct --yes", "create configmaps"},
		{"patch", "backendtlspolicies", "skip-verify off svc/shut", "patch backendtlspolicies.gateway.networking.k8s.io"},
	} {
		t.Run(test.verb+" "+test.resource+": "+test.line, func(t *testing.T) {
			d := newClusterDesk(t)
			d.api.Allow = func(verb, resource, _, _ string) bool { return verb != test.verb || resource != test.resource }
			code, stdout, stderr := d.cluster(test.line)
			if code != 1 || stdout != "" || !strings.Contains(stderr, "nothing was written: ") ||
				!strings.Contains(stderr, "what is missing is the right to "+test.want) {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

func TestWhatNobodyMaySeeIsSaid(t *testing.T) {
	d := newClusterDesk(t)
	d.api.Allow = func(_, resource, _, _ string) bool { return resource != "gatewayparameters" }
	code, _, stderr := d.cluster("skip-verify on svc/good --for 2h --reason x --yes --wait 0")
	if code != 0 || !strings.Contains(stderr, "cannot be foretold") || !strings.Contains(stderr, "gatewayparameters") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	d.api.Allow = func(_, resource, _, _ string) bool { return resource != "httproutes" }
	code, _, stderr = d.cluster("pin svc/api --via direct --yes --wait 0")
	if code != 1 || !strings.Contains(stderr, "which Gateways lead to svc/api is not known") ||
		!strings.Contains(stderr, "httproutes") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	d.api.Allow = func(_, resource, _, _ string) bool { return resource != "backendtlspolicies" }
	code, _, stderr = d.cluster("pin svc/api --via direct --yes --wait 0")
	if code != 1 || !strings.Contains(stderr, "nobody knows which policies target svc/api") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestAPolicyThatIsToBeMadeIsJudgedByTheSystemsRoots although no policy asked
// for them before it.
func TestAPolicyThatIsToBeMadeIsJudgedByTheSystemsRoots(t *testing.T) {
	d := newClusterDesk(t)
	d.api.Delete("backendtlspolicies", "shop", "far")
	code, stdout, stderr := d.cluster("skip-verify on svc/new --for 900h --reason x --yes --wait 0")
	if code != 1 || strings.Contains(stderr, "cannot be foretold") || !strings.Contains(stderr, "maxDuration") ||
		len(d.writes()) > 0 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestAGatewayClassThatDoesNotExistIsWhatInspectNames(t *testing.T) {
	d := newClusterDesk(t)
	code, stdout, stderr := d.cluster("inspect svc/edge --no-probe -o json")
	if code != 0 || !strings.Contains(stdout, "the GatewayClass elsewhere of its spec.gatewayClassName does not exist; there is backendtls, istio") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestAGatewayIsKnownByTheStatusOfTheRoute to those who may not read what
// belongs to the whole cluster.
func TestAGatewayIsKnownByTheStatusOfTheRoute(t *testing.T) {
	d := newClusterDesk(t)
	d.api.Allow = func(_, resource, _, _ string) bool { return resource != "gatewayclasses" }
	const line = "pin svc/api --via direct --yes --wait 0"
	code, _, stderr := d.cluster(line)
	if code != 1 || !strings.Contains(stderr, "whose GatewayClass backendtls is not known (gatewayclasses") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	d.api.SetStatus("httproutes", "default", "api", map[string]any{"parents": []any{map[string]any{
		"controllerName": "example.com/other", "parentRef": map[string]any{"name": "web"}, "conditions": []any{},
	}}})
	if code, _, stderr = d.cluster(line); code != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	d.api.SetStatus("httproutes", "default", "api", map[string]any{"parents": []any{map[string]any{
		"controllerName": "backendtls.dev/gateway-controller", "parentRef": map[string]any{"name": "web"},
		"conditions": []any{},
	}}})
	if code, _, stderr = d.cluster(line); code != 0 || !strings.Contains(stderr, "What gateway/web will do") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestABundleAloneIsAcknowledgedOnceStatusNamesIt: the policy stays at its
// generation, so that only the digest of what was read tells the status before from
// the one after.
func TestABundleAloneIsAcknowledgedOnceStatusNamesIt(t *testing.T) {
	d := newClusterDesk(t)
	if code, _, stderr := d.cluster("pin svc/api --form leaf --via direct --yes --wait 0"); code != 0 {
		t.Fatal(stderr)
	}
	d.serve(d.identity("other"), "10.1.0.1:8443", "10.1.0.2:8443")
	read := func() string {
		bundle := d.api.Get("configmaps", "default", "api-backendtls")
		text, _, _ := unstructured.NestedString(bundle.Object, "data", "leaf.crt")
		return fmt.Sprintf("read configmap/default/api-backendtls key leaf.crt (1 certificate, sha256:%x)", sha256.Sum256([]byte(text)))
	}
	before := read()
	speak := func(message func() string) {
		d.operate("api", func(generation int64) []any {
			return append(programmed(generation), condition("ResolvedRefs", "True", "ResolvedRefs", message(), generation))
		}, "default/web")
	}
	speak(func() string { return before })
	code, _, stderr := d.cluster("pin svc/api --form leaf --via direct --yes --replace --wait 1s")
	if code != 1 || !strings.Contains(stderr, "its operator has not read the ConfigMap since") {
		t.Errorf("with the status before: exit code %d: %s", code, stderr)
	}
	d.serve(d.identity("good"), "10.1.0.1:8443", "10.1.0.2:8443")
	speak(read)
	code, _, stderr = d.cluster("pin svc/api --form leaf --via direct --yes --replace")
	if code != 0 || !strings.Contains(stderr, "gateway/web: 2 of 2 Envoys acknowledged the policy") {
		t.Errorf("with the status after: exit code %d: %s", code, stderr)
	}
}

// TestArgoCDIsNamedBeforeItsKeyIsTaken, with the manifest for where it looks.
func TestArgoCDIsNamedBeforeItsKeyIsTaken(t *testing.T) {
	d := newClusterDesk(t)
	live := d.api.Get("backendtlspolicies", "default", "rotate")
	applied := &unstructured.Unstructured{Object: map[string]any{"spec": live.Object["spec"]}}
	applied.SetGroupVersionKind(live.GroupVersionKind())
	applied.SetName("rotate")
	applied.SetNamespace("default")
	if err := d.api.Apply(applied, "argocd-controller"); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := d.cluster("unpin svc/rotate --via direct")
	for _, want := range []string{
		"Argo CD (argocd-controller) owns backendtls.dev/pins, backendtls.dev/pins-only of",
		"will undo this", "  kind: BackendTLSPolicy\n", "kubectl apply (kubectl-client-side-apply)",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing: %s", want, stderr)
		}
	}
	if code != 1 || len(d.writes()) > 0 {
		t.Errorf("exit code %d, %v", code, d.writes())
	}
	if code, _, stderr = d.cluster("unpin svc/rotate --via direct --yes --wait 0"); code != 0 || len(d.options("rotate")) > 0 {
		t.Errorf("exit code %d, %v: %s", code, d.options("rotate"), stderr)
	}
}

// TestWhatTheEnvoysSay is about the wait after a write.
func TestWhatTheEnvoysSay(t *testing.T) {
	pending := func(generation int64) []any {
		return []any{
			condition("Accepted", "True", "Accepted", "", generation),
			condition("Programmed", "False", "Pending", "1 of 2 Envoys acknowledged the policy; waiting for web-b", generation),
		}
	}
	for _, test := range []struct {
		name       string
		conditions func(int64) []any
		code       int
		want       string
	}{
		{"every Envoy acknowledged", programmed, 0, "gateway/web: 2 of 2 Envoys acknowledged the policy\n"},
		{"one Envoy is silent", pending, 1, "written, but gateway/web does not say within 1s that it is in force (--wait): " +
			"1 of 2 Envoys acknowledged the policy; waiting for web-b"},
		{
			"status is about the generation before", func(generation int64) []any { return programmed(generation - 1) }, 1,
			"its operator has not spoken of generation 2 yet",
		},
		{"an Envoy refused", func(generation int64) []any {
			return []any{
				condition("Accepted", "True", "Accepted", "", generation),
				condition("Programmed", "False", "Rejected", "web-a refused it: no such curve", generation),
			}
		}, 1, "written, but not in force on gateway/web: web-a refused it: no such curve"},
		{"the Gateway refuses", func(generation int64) []any {
			return []any{
				condition("Accepted", "False", "Invalid", "pins: what is that", generation),
				condition("Programmed", "True", "Programmed", "2 of 2 Envoys acknowledged the 500", generation),
			}
		}, 1, "not in force on gateway/web: pins: what is that (Invalid)"},
		{"no Envoy runs", func(generation int64) []any {
			return []any{
				condition("Accepted", "True", "Accepted", "", generation),
				condition("Programmed", "Unknown", "NoDataPlane", "no Envoy of gateway/default/web runs", generation),
			}
		}, 0, "gateway/web: no Envoy of gateway/default/web runs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newClusterDesk(t)
			d.operate("rotate", test.conditions, "default/web")
			code, stdout, stderr := d.cluster("unpin svc/rotate --via direct --yes --wait 1s")
			if code != test.code || stdout != "btlspolicy/rotate unpinned\n" || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

func TestCtrlCEndsTheWaitAndNotTheWrite(t *testing.T) {
	d := newClusterDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.api.Before = func(request apiservertest.Request) {
		if request.Verb == "get" && request.Name == "rotate" && len(d.writes()) > 0 {
			cancel()
		}
	}
	code, stdout, stderr := d.clusterContext(ctx, "unpin svc/rotate --via direct --yes --wait 1h")
	if code != command.Interrupted || stdout != "btlspolicy/rotate unpinned\n" ||
		!strings.Contains(stderr, "btlspolicy/rotate is written") || len(d.options("rotate")) > 0 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestAPolicyThatChangesMeanwhileIsNotWritten(t *testing.T) {
	d := newClusterDesk(t)
	var once sync.Once
	d.api.Before = func(request apiservertest.Request) {
		if request.Verb != "patch" || request.DryRun {
			return
		}
		once.Do(func() {
			changed := d.api.Get("backendtlspolicies", "default", "rotate")
			_ = unstructured.SetNestedField(changed.Object, "other.example.com", "spec", "validation", "hostname")
			if err := d.api.Put(changed, "kubectl-edit"); err != nil {
				t.Error(err)
			}
		})
	}
	code, stdout, stderr := d.cluster("unpin svc/rotate --via direct --yes")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "has changed since the change was shown: run the command again") ||
		len(d.options("rotate")) == 0 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestOffIsNotStoppedByAChangeMeanwhile: what closes tries again.
func TestOffIsNotStoppedByAChangeMeanwhile(t *testing.T) {
	d := newClusterDesk(t)
	var once sync.Once
	d.api.Before = func(request apiservertest.Request) {
		if request.Verb != "patch" || request.DryRun {
			return
		}
		once.Do(func() {
			changed := d.api.Get("backendtlspolicies", "default", "shut")
			_ = unstructured.SetNestedField(changed.Object, "another", "spec", "options", "backendtls.dev/mode-reason")
			if err := d.api.Put(changed, "kubectl-edit"); err != nil {
				t.Error(err)
			}
		})
	}
	code, stdout, stderr := d.cluster("skip-verify off svc/shut --wait 0")
	if code != 0 || len(d.options("shut")) > 0 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestALeafBundleIsThereBeforeThePolicyNamesIt, and what is not named any more
// goes after the policy has changed.
func TestALeafBundleIsThereBeforeThePolicyNamesIt(t *testing.T) {
	d := newClusterDesk(t)
	for _, line := range []string{
		"pin svc/good --form leaf --via direct --yes --wait 0", "pin svc/good --form ca --via direct --yes --wait 0",
	} {
		if code, stdout, stderr := d.cluster(line); code != 0 {
			t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
		}
	}
	var order []string
	for _, request := range d.writes() {
		order = append(order, request.Verb+" "+request.Resource)
	}
	want := []string{
		"create configmaps", "patch backendtlspolicies",
		"patch configmaps", "patch backendtlspolicies", "patch configmaps",
	}
	if !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
	data, _, _ := unstructured.NestedMap(d.api.Get("configmaps", "default", "good-backendtls").Object, "data")
	if len(data) != 1 || data["ca.crt"] == nil {
		t.Errorf("%v", data)
	}
}

func TestFlagsThatDoNotFitACluster(t *testing.T) {
	d := newClusterDesk(t)
	for _, test := range []struct{ line, want string }{
		{"pin svc/api --write", "--write is for files"},
		{"pin svc/api --read-only", "--read-only: nothing is changed"},
		{"pin svc/api --dry-run=maybe", "want none, client or server"},
		{"unpin svc/api --wait -1s", "want 0 or more"},
	} {
		if code, stdout, stderr := d.cluster(test.line); code != 1 || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d: %s%s", test.line, code, stdout, stderr)
		}
	}
	if code, _, stderr := d.run("pin", "svc/api", "--wait", "1s", "-f", "desk"); code != 1 ||
		!strings.Contains(stderr, "--wait is for a cluster") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
